CREATE TYPE status_before AS ENUM ('new', 'paid', 'sent');
ALTER TABLE orders ALTER COLUMN status DROP DEFAULT;
ALTER TABLE orders ALTER COLUMN status TYPE status_before USING status::text::status_before;
ALTER TABLE orders ALTER COLUMN status SET DEFAULT 'new';
DROP TYPE status;
ALTER TYPE status_before RENAME TO status;
