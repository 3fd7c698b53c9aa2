ALTER TABLE orders
    ADD COLUMN number text,
    ADD CONSTRAINT orders_number UNIQUE (number),
    ALTER COLUMN reference SET NOT NULL,
    ADD CHECK (number <> ''),
    ADD FOREIGN KEY (customer_id) REFERENCES customers (id),
    ALTER COLUMN status DROP DEFAULT,
    ADD CONSTRAINT orders_parent FOREIGN KEY (id) REFERENCES orders (id) NOT VALID;
