ALTER TABLE orders
    ADD COLUMN gift boolean NOT NULL DEFAULT false,
    ADD COLUMN invoiced_to integer REFERENCES customers (id) DEFERRABLE INITIALLY DEFERRED,
    ADD COLUMN note text;
