CREATE UNIQUE INDEX customers_email ON customers (lower(email) COLLATE "C");
CREATE UNIQUE INDEX IF NOT EXISTS orders_reference ON orders (reference) NULLS NOT DISTINCT;
