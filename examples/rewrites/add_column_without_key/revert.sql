ALTER TABLE measurements DROP COLUMN number, DROP COLUMN token;
