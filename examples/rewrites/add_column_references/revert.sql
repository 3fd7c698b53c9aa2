ALTER TABLE orders DROP COLUMN note, DROP COLUMN invoiced_to, DROP COLUMN gift;
