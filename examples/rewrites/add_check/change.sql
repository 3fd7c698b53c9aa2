ALTER TABLE orders ADD CHECK (total >= 0);
ALTER TABLE orders ADD CONSTRAINT orders_known_status CHECK (status IN ('new', 'paid', 'sent'));
