CREATE TABLE orders (
    id integer PRIMARY KEY,
    reference text NOT NULL,
    shop integer NOT NULL,
    status text NOT NULL DEFAULT 'new',
    total integer NOT NULL,
    CONSTRAINT orders_total CHECK (total < 1000),
    CONSTRAINT orders_reference UNIQUE (reference)
);
INSERT INTO orders
SELECT n, 'R-' || n, n % 7, (ARRAY['new', 'paid', 'sent'])[1 + n % 3], n % 500
FROM generate_series(1, 3000) AS n;
