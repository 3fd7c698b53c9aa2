ALTER TABLE visits ADD FOREIGN KEY (customer_id) REFERENCES customers;
ALTER TABLE visits ADD CONSTRAINT visits_referred FOREIGN KEY (referred_by) REFERENCES customers (id)
    ON DELETE SET NULL DEFERRABLE;
