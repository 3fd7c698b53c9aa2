UPDATE orders SET total = total + 1 WHERE id = 8;
INSERT INTO stamps (id) VALUES (1) ON CONFLICT DO NOTHING;
