CREATE INDEX orders_status_placed_at ON orders (status text_pattern_ops, placed_at DESC NULLS LAST)
    INCLUDE (total) WITH (fillfactor = 80) WHERE status <> 'sent';
CREATE INDEX ON orders (lower(reference), customer_id);
