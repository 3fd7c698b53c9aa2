ALTER TABLE orders DROP CONSTRAINT orders_region;
ALTER TABLE orders DROP CONSTRAINT orders_customer_id_fkey;
