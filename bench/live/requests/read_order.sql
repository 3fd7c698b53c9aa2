\set id random(10, :orders)
SELECT id, order_number, status, payment_status, total_cents, created_at FROM orders WHERE id = :id;
