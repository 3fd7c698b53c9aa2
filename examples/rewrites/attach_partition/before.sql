CREATE TABLE customers (
    id integer PRIMARY KEY,
    email text NOT NULL
);
INSERT INTO customers SELECT n, 'customer' || n || '@example.org' FROM generate_series(1, 1000) AS n;

CREATE TABLE visits (
    id integer NOT NULL,
    customer_id integer REFERENCES customers ON DELETE CASCADE,
    day date NOT NULL,
    note text CONSTRAINT visits_note CHECK (note <> ''),
    PRIMARY KEY (id, day),
    UNIQUE (day, note) INCLUDE (id)
) PARTITION BY RANGE (day);
CREATE TABLE visits_2025 PARTITION OF visits FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE visits_rest PARTITION OF visits DEFAULT;
CREATE INDEX visits_note_idx ON visits (lower(note), id DESC);
CREATE INDEX ON visits (customer_id) WHERE note IS NOT NULL;

CREATE TABLE visits_2026 (
    id integer NOT NULL,
    customer_id integer,
    day date NOT NULL,
    note text CONSTRAINT visits_note CHECK (note <> '')
);
CREATE INDEX by_customer ON visits_2026 (customer_id) WHERE note IS NOT NULL;
INSERT INTO visits SELECT n, 1 + n % 1000, date '2025-01-01' + n % 300, 'note ' || n
FROM generate_series(1, 3000) AS n;
INSERT INTO visits SELECT n, 1 + n % 1000, date '2027-01-01' + n % 300, 'note ' || n
FROM generate_series(1, 3000) AS n;
INSERT INTO visits_2026 SELECT n, 1 + n % 1000, date '2026-01-01' + n % 300, 'note ' || n
FROM generate_series(1, 3000) AS n;
