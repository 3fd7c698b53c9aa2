CREATE INDEX ON events (lower(note), id);
CREATE INDEX events_region_idx ON events (region text_pattern_ops, id DESC)
    WITH (fillfactor = 80) WHERE note <> '';
