CREATE TABLE customers (
    id integer PRIMARY KEY,
    email text NOT NULL
);
INSERT INTO customers SELECT n, 'customer' || n || '@example.org' FROM generate_series(1, 1000) AS n;

CREATE TABLE parcels (
    id integer NOT NULL,
    country text,
    customer_id integer
) PARTITION BY LIST (country);
CREATE TABLE parcels_north PARTITION OF parcels FOR VALUES IN ('fi', 'no', 'se');
CREATE TABLE parcels_rest PARTITION OF parcels DEFAULT;
INSERT INTO parcels SELECT n, (ARRAY['fi', 'it', 'nl', NULL])[1 + n % 4], 1 + n % 1000
FROM generate_series(1, 3000) AS n;
