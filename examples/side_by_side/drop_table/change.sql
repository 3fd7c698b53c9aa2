DROP FUNCTION coupons_of(integer);
DROP VIEW used_coupons;
ALTER TABLE stamps DROP COLUMN coupon_id;
DROP TABLE coupons;
