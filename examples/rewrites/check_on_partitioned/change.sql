ALTER TABLE parcels ADD CHECK (weight > 0);
ALTER TABLE parcels ADD COLUMN insured integer, ADD CONSTRAINT parcels_sender CHECK (sender <> '');
