\set id random(10, :orders)
UPDATE orders SET status = 'shipped' WHERE id = :id;
