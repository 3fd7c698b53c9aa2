ALTER TABLE customers DROP CONSTRAINT customers_email;
ALTER TABLE orders DROP CONSTRAINT orders_reference_key;
