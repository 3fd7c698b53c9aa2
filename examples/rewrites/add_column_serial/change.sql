ALTER TABLE orders ADD COLUMN number serial;
ALTER TABLE orders ADD COLUMN "Line" bigserial CHECK ("Line" > 0);
