DROP INDEX orders_cents;
ALTER TABLE orders DROP COLUMN cents;
