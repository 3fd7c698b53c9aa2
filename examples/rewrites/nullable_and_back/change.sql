ALTER TABLE orders ALTER shop DROP NOT NULL;
CREATE INDEX orders_shop ON orders (shop);
ALTER TABLE orders ALTER shop SET NOT NULL;
