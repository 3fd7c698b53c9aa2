DROP INDEX orders_lower_customer_id_idx;
DROP INDEX orders_status_placed_at;
