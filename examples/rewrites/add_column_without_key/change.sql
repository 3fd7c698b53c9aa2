ALTER TABLE measurements ADD COLUMN token uuid NOT NULL DEFAULT gen_random_uuid();
ALTER TABLE measurements ADD COLUMN number bigserial;
