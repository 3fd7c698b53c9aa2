CREATE INDEX visits_day_idx ON visits (day);
ALTER TABLE visits ADD CONSTRAINT visits_id UNIQUE (id, day, note);
ALTER TABLE visits ATTACH PARTITION visits_2026 FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
