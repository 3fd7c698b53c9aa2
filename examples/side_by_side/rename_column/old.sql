SELECT id, shop, code FROM orders WHERE shop = 3 LIMIT 3;
UPDATE orders SET shop = 1 + (shop % 10) WHERE id = 7;
UPDATE orders SET total = total + 1 WHERE code = 'R-9';
INSERT INTO orders (id, shop, code) VALUES (11, 3, 'R-11') ON CONFLICT (code) DO UPDATE SET shop = 4;
