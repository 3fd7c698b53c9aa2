ALTER TABLE orders RENAME COLUMN shop TO vendor;
ALTER TABLE orders RENAME COLUMN code TO reference;
