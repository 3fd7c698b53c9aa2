DROP INDEX visits_by_note;
CREATE INDEX visits_by_note ON visits (note) WHERE visitor > 7;
ALTER TABLE visits DROP CONSTRAINT once;
ALTER TABLE visits ADD CONSTRAINT once UNIQUE (day, shop, visitor);
