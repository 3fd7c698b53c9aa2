ALTER TYPE status RENAME TO status_old;
CREATE TYPE status AS ENUM ('new', 'sent', 'paid', 'lost');
ALTER TABLE orders ALTER COLUMN status DROP DEFAULT;
ALTER TABLE orders ALTER COLUMN status TYPE status USING status::text::status;
ALTER TABLE orders ALTER COLUMN status SET DEFAULT 'new';
DROP TYPE status_old;
