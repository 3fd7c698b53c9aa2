ALTER TABLE orders ALTER COLUMN status SET DEFAULT 'new';
ALTER TABLE orders DROP COLUMN note;
ALTER TABLE orders DROP COLUMN channel;
DROP INDEX orders_status;
