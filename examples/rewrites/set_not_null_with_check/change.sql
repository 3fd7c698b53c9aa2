ALTER TABLE orders ALTER COLUMN reference SET NOT NULL, DROP CONSTRAINT orders_has_reference;
