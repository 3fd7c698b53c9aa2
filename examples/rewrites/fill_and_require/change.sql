ALTER TABLE orders ADD COLUMN channel text;
UPDATE orders SET channel = 'web' WHERE status <> 'none';
ALTER TABLE orders ALTER COLUMN channel SET NOT NULL;
