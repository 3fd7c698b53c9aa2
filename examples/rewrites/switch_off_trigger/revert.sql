DROP INDEX orders_status;
ALTER TABLE orders DISABLE TRIGGER note_change;
UPDATE orders SET status = 'sent' WHERE status = 'old';
ALTER TABLE orders ENABLE TRIGGER note_change;
