ALTER TABLE orders DISABLE TRIGGER note_change;
UPDATE orders SET status = 'old' WHERE status = 'sent';
CREATE INDEX orders_status ON orders (status);
ALTER TABLE orders ENABLE TRIGGER note_change;
