ALTER TABLE orders
    DROP CONSTRAINT orders_customer,
    ADD CONSTRAINT orders_customer FOREIGN KEY (customer_id) REFERENCES customers (id)
        ON DELETE CASCADE,
    DROP CONSTRAINT orders_total,
    ADD CONSTRAINT orders_total CHECK (total >= 0 AND total < 100000);
