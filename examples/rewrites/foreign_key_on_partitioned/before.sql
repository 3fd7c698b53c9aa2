CREATE TABLE customers (
    id integer PRIMARY KEY,
    email text NOT NULL
);
INSERT INTO customers SELECT n, 'customer' || n || '@example.org' FROM generate_series(1, 1000) AS n;

CREATE TABLE visits (
    customer_id integer,
    referred_by integer,
    day date NOT NULL
) PARTITION BY RANGE (day);
CREATE TABLE visits_2025 PARTITION OF visits FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE visits_2026 PARTITION OF visits FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')
    PARTITION BY HASH (customer_id);
CREATE TABLE visits_2026_0 PARTITION OF visits_2026 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE visits_2026_1 PARTITION OF visits_2026 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
ALTER TABLE visits_2025 ADD CONSTRAINT theirs FOREIGN KEY (customer_id) REFERENCES customers;
INSERT INTO visits SELECT 1 + n % 1000, 1 + n % 7, date '2025-01-01' + n % 700
FROM generate_series(1, 3000) AS n;
