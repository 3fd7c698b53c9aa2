ALTER TABLE orders ADD UNIQUE (reference) WITH (fillfactor = 70);
ALTER TABLE customers ADD CONSTRAINT customers_email UNIQUE NULLS NOT DISTINCT (email, region)
    INCLUDE (id) DEFERRABLE INITIALLY DEFERRED;
