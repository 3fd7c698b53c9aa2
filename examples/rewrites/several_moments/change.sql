CREATE INDEX orders_status ON orders (status);
ALTER TABLE orders ADD COLUMN channel text;
ALTER TABLE orders ADD COLUMN note text DEFAULT '-';
ALTER TABLE orders ALTER COLUMN status SET DEFAULT 'open';
COMMENT ON COLUMN orders.channel IS 'where it came from';
