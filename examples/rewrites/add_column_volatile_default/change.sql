ALTER TABLE orders
    ADD COLUMN token uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,
    ADD COLUMN lot double precision DEFAULT random();
