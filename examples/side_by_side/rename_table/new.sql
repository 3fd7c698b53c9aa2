SELECT id, code FROM purchases WHERE id = 3 FOR UPDATE;
UPDATE purchases SET total = total + 1 WHERE code = 'R-10' RETURNING total;
INSERT INTO purchases (id, code) VALUES (12, 'R-12') ON CONFLICT (code) DO UPDATE SET total = 4 RETURNING id;
