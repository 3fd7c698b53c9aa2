ALTER TABLE orders DROP CONSTRAINT orders_reference;
ALTER TABLE orders ADD CONSTRAINT orders_reference UNIQUE (reference);
