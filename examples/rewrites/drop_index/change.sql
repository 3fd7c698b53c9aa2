DROP INDEX orders_status, orders_placed_at;
