ALTER TABLE seats DROP CONSTRAINT seats_holder;
ALTER TABLE seats DROP CONSTRAINT seats_event_id_row_number_holder_key;
