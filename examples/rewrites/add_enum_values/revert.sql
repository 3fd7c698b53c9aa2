CREATE TYPE status_before AS ENUM ('new', 'paid', 'sent');
ALTER TABLE orders ALTER COLUMN status DROP DEFAULT;
ALTER TABLE orders ALTER COLUMN status TYPE status_before USING status::text::status_before;
ALTER TABLE orders ALTER COLUMN status SET DEFAULT 'new';
ALTER TABLE orders ALTER COLUMN earlier DROP DEFAULT;
ALTER TABLE orders ALTER COLUMN earlier TYPE status_before[] USING earlier::text[]::status_before[];
ALTER TABLE orders ALTER COLUMN earlier SET DEFAULT '{new,paid}';
DROP TYPE status;
ALTER TYPE status_before RENAME TO status;
