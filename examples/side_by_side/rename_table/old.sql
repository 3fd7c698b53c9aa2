SELECT id, code FROM orders WHERE id = 3 FOR UPDATE;
UPDATE orders SET total = total + 1 WHERE code = 'R-9' RETURNING total;
INSERT INTO orders (id, code) VALUES (11, 'R-11') ON CONFLICT (code) DO UPDATE SET total = 4 RETURNING id;
