ALTER TABLE visits ADD PRIMARY KEY (customer_id, page);
