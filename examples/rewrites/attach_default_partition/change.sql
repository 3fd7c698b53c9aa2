ALTER TABLE parcels ATTACH PARTITION parcels_elsewhere DEFAULT;
