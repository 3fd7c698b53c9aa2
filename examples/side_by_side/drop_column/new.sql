SELECT id, channel FROM orders WHERE id = 3;
UPDATE orders SET channel = 'app' WHERE id = 8;
INSERT INTO orders (channel) VALUES ('app');
