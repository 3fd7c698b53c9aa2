CREATE TABLE visits (
    shop integer NOT NULL,
    day date NOT NULL,
    visitor integer NOT NULL,
    note text,
    CONSTRAINT once UNIQUE (shop, visitor, day)
) PARTITION BY RANGE (day);
CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE visits_2 PARTITION OF visits FOR VALUES FROM ('2026-02-01') TO ('2026-03-01') PARTITION BY LIST (shop);
CREATE TABLE visits_2_own PARTITION OF visits_2 FOR VALUES IN (1);
CREATE TABLE visits_2_rest PARTITION OF visits_2 DEFAULT;
CREATE INDEX visits_by_note ON visits (note);
CREATE INDEX ON visits_1 (note DESC) INCLUDE (shop);
INSERT INTO visits SELECT n % 5, DATE '2026-01-01' + n % 59, n, 'note ' || n FROM generate_series(1, 2000) AS n;
