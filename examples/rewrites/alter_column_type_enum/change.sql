ALTER TABLE orders ALTER COLUMN status TYPE status USING status::status, ALTER COLUMN status SET DEFAULT 'new';
