\set user random(10, :users)
SELECT id, status, total_cents FROM orders WHERE ordered_by_id = :user ORDER BY id DESC LIMIT 10;
