DROP INDEX orders_shop;
