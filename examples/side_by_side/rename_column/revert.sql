ALTER TABLE orders RENAME COLUMN reference TO code;
ALTER TABLE orders RENAME COLUMN vendor TO shop;
