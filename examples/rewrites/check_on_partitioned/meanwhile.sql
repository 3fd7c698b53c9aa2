CREATE TABLE parcels_west PARTITION OF parcels_others FOR VALUES IN ('ie');
