ALTER TABLE parcels DROP CONSTRAINT parcels_sender, DROP COLUMN insured;
ALTER TABLE parcels DROP CONSTRAINT parcels_weight_check;
