ALTER TABLE orders ADD CONSTRAINT orders_has_reference CHECK (reference IS NOT NULL),
    ALTER COLUMN reference DROP NOT NULL;
