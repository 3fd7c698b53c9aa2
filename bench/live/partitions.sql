-- What A5 makes of the shop: its orders in 64 partitions, and a table that is to become one more. psql variable: orders.
ALTER TABLE orders RENAME TO all_orders;
ALTER TABLE all_orders RENAME CONSTRAINT orders_pkey TO all_orders_pkey;
ALTER INDEX orders_ordered_by_id RENAME TO all_orders_ordered_by_id;
CREATE TABLE orders (LIKE all_orders INCLUDING DEFAULTS, PRIMARY KEY (id)) PARTITION BY RANGE (id);
SELECT format('CREATE TABLE orders_%s PARTITION OF orders FOR VALUES FROM (%s) TO (%s)', n,
    1 + (n - 1) * (:orders / 64), CASE WHEN n < 64 THEN (1 + n * (:orders / 64))::text ELSE 'MAXVALUE' END)
    FROM generate_series(1, 64) n \gexec
INSERT INTO orders SELECT * FROM all_orders;
CREATE INDEX orders_ordered_by_id ON orders (ordered_by_id);
ALTER TABLE orders ADD FOREIGN KEY (ordered_by_id) REFERENCES users;
CREATE TABLE orders_archive (LIKE orders INCLUDING DEFAULTS);
INSERT INTO orders_archive (id, order_number, ordered_by_id, variant_id, status, payment_status, channel, total_cents)
    SELECT -id, 'OLD-' || id, ordered_by_id, variant_id, status, payment_status, channel, total_cents
    FROM all_orders WHERE id <= least(:orders / 64, 999999);
ALTER TABLE orders_archive ALTER channel SET NOT NULL;
ALTER SEQUENCE orders_id_seq OWNED BY orders.id;
DROP TABLE all_orders;
VACUUM (ANALYZE) orders, orders_archive;
