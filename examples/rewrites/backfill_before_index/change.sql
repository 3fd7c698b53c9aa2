ALTER TABLE orders ADD COLUMN cents integer;
CREATE INDEX orders_cents ON orders (cents);
UPDATE orders SET cents = total * 100;
