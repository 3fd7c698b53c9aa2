SELECT coupons_of(3), (SELECT count(*) FROM used_coupons);
UPDATE coupons SET order_id = 5 WHERE id = 7;
INSERT INTO coupons (order_id) VALUES (3);
