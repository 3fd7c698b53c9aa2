ALTER TABLE orders ADD COLUMN customer_id integer REFERENCES customers (id);
ALTER TABLE orders ADD COLUMN reference varchar(20);
CREATE INDEX orders_customer_id ON orders (customer_id);
CREATE INDEX orders_reference_status ON orders (reference, status);
