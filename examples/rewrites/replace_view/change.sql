DROP VIEW paid;
CREATE INDEX orders_status ON orders (status);
CREATE VIEW paid AS SELECT id, total, reference FROM orders WHERE status = 'paid';
GRANT SELECT ON paid TO pg_monitor;
