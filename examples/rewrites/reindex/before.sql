CREATE TABLE orders (
    id integer PRIMARY KEY,
    reference varchar(20),
    status text NOT NULL DEFAULT 'new'
);
CREATE INDEX orders_status ON orders (status);
CREATE INDEX orders_reference ON orders (lower(reference));
INSERT INTO orders SELECT n, 'R-' || n, (ARRAY['new', 'paid', 'sent'])[1 + n % 3]
FROM generate_series(1, 3000) AS n;
