CREATE TABLE refunds (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id integer NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
    customer_id integer CONSTRAINT refunded REFERENCES customers DEFERRABLE INITIALLY DEFERRED,
    replaces bigint REFERENCES refunds (id),
    amount numeric(10, 2) NOT NULL CHECK (amount > 0),
    FOREIGN KEY (customer_id) REFERENCES customers (id)
);
CREATE INDEX ON refunds (order_id);
