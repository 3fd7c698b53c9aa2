CREATE TABLE events (
    id integer NOT NULL,
    region text NOT NULL,
    placed_at date NOT NULL,
    note varchar(50)
) PARTITION BY RANGE (placed_at);
CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')
    PARTITION BY LIST (region);
CREATE TABLE events_2026_north PARTITION OF events_2026 FOR VALUES IN ('north');
CREATE TABLE events_2026_rest PARTITION OF events_2026 DEFAULT;
CREATE TABLE events_rest PARTITION OF events DEFAULT;
INSERT INTO events
SELECT n, (ARRAY['north', 'south', 'west'])[1 + n % 3], date '2025-01-01' + n % 1000, 'note ' || n
FROM generate_series(1, 3000) AS n;
CREATE INDEX by_hand ON events_2025 (lower(note), id);
