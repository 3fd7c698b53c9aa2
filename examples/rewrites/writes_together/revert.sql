DELETE FROM parts WHERE id IN (1, 2);
DROP INDEX orders_status;
