ALTER TABLE visits DROP CONSTRAINT once;
ALTER TABLE visits ADD CONSTRAINT once UNIQUE (shop, visitor, day);
DROP INDEX visits_by_note;
CREATE INDEX visits_by_note ON visits (note);
