ALTER TABLE orders ALTER COLUMN channel SET DEFAULT 'web';
ALTER TABLE orders ADD COLUMN code text NOT NULL DEFAULT '-';
CREATE INDEX orders_code_idx ON orders (code);
ALTER TABLE orders ADD COLUMN shop integer NOT NULL DEFAULT 1;
ALTER TABLE orders ADD CONSTRAINT orders_shop FOREIGN KEY (shop) REFERENCES shops (id);
