ALTER TABLE orders DROP CONSTRAINT orders_total;
UPDATE orders SET total = total / 100;
ALTER TABLE orders ADD CONSTRAINT orders_total CHECK (total < 1000);
