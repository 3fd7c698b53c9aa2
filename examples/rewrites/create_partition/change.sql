CREATE TABLE parcels_west PARTITION OF parcels FOR VALUES IN ('ie', 'gb');
CREATE TABLE parcels_east PARTITION OF parcels (CONSTRAINT parcels_east_customer FOREIGN KEY (customer_id) REFERENCES customers)
    FOR VALUES IN ('ee') PARTITION BY HASH (id);
