DROP INDEX events_region_idx;
DROP INDEX events_lower_id_idx;
CREATE INDEX by_hand ON events_2025 (lower(note), id);
