SELECT id, shop, code FROM orders WHERE code = 'R-3';
UPDATE orders SET shop = 2, code = 'R-7' WHERE id = 7;
WITH made AS (INSERT INTO orders (shop, code) VALUES (3, 'more') RETURNING id) SELECT id FROM made;
