ALTER TABLE visits DROP CONSTRAINT visits_referred;
ALTER TABLE visits DROP CONSTRAINT visits_customer_id_fkey;
