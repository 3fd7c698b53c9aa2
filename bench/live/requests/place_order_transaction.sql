-- One transaction over two tables.
\set user random(10, :users)
\set variant random(10, :variants)
BEGIN;
UPDATE variants SET stock = stock - 1 WHERE id = :variant;
INSERT INTO orders (order_number, ordered_by_id, variant_id, status, payment_status, channel, total_cents) VALUES (gen_random_uuid()::text, :user, :variant, 'pending', 'unpaid', 'web', 1234);
COMMIT;
