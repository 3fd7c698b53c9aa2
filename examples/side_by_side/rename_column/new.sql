SELECT id, vendor, reference FROM orders WHERE vendor = 3 LIMIT 3;
UPDATE orders SET vendor = 1 + (vendor % 10) WHERE id = 8;
UPDATE orders SET total = total + 1 WHERE reference = 'R-10';
INSERT INTO orders (id, vendor, reference) VALUES (12, 3, 'R-12') ON CONFLICT (reference) DO UPDATE SET vendor = 4;
