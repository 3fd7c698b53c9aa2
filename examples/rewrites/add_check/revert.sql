ALTER TABLE orders DROP CONSTRAINT orders_known_status;
ALTER TABLE orders DROP CONSTRAINT orders_total_check;
