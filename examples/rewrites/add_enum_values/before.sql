CREATE TYPE status AS ENUM ('new', 'paid', 'sent');

CREATE TABLE customers (
    id integer PRIMARY KEY,
    email text NOT NULL,
    region text NOT NULL
);
INSERT INTO customers
SELECT n, 'customer' || n || '@example.org', (ARRAY['north', 'south', 'west'])[1 + n % 3]
FROM generate_series(1, 1000) AS n;

CREATE TABLE orders (
    id integer PRIMARY KEY,
    customer_id integer NOT NULL,
    reference varchar(20),
    total numeric(10, 2) NOT NULL,
    status status NOT NULL DEFAULT 'new',
    earlier status[] DEFAULT '{new,paid}'
);
INSERT INTO orders (id, customer_id, reference, status, total, earlier)
SELECT n, 1 + n % 1000, 'R-' || n, (ARRAY['new', 'paid', 'sent']::status[])[1 + n % 3], n % 500,
    '{new,sent}'
FROM generate_series(1, 3000) AS n;

CREATE INDEX orders_open ON orders (status, id);
