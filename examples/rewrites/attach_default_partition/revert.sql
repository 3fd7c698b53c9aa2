ALTER TABLE parcels DETACH PARTITION parcels_elsewhere;
