DROP VIEW paid;
CREATE VIEW paid AS SELECT id, total FROM orders WHERE status = 'paid';
GRANT SELECT ON paid TO pg_monitor;
DROP INDEX orders_status;
