ALTER TABLE orders
    ADD COLUMN code text UNIQUE,
    ADD COLUMN weight integer DEFAULT 1 CONSTRAINT orders_weighs CHECK (weight > 0);
