INSERT INTO parts VALUES (1, 2);
CREATE INDEX orders_status ON orders (status);
INSERT INTO parts VALUES (2, 1);
