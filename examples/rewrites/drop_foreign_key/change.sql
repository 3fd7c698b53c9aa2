ALTER TABLE orders DROP CONSTRAINT orders_customer_id_fkey, ADD COLUMN note text;
DROP TRIGGER orders_touch ON orders;
