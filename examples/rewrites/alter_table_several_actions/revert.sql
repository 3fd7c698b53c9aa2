ALTER TABLE orders
    DROP CONSTRAINT orders_parent,
    ALTER COLUMN status SET DEFAULT 'new',
    DROP CONSTRAINT orders_customer_id_fkey,
    ALTER COLUMN reference DROP NOT NULL,
    DROP COLUMN number;
