ALTER TABLE seats ADD UNIQUE (event_id, row_number) INCLUDE (holder) WITH (fillfactor = 70);
ALTER TABLE seats ADD CONSTRAINT seats_holder UNIQUE NULLS NOT DISTINCT (holder, event_id)
    DEFERRABLE INITIALLY DEFERRED;
