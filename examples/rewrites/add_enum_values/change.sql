ALTER TYPE status RENAME TO status_old;
CREATE TYPE status AS ENUM ('drafted', 'new', 'paid', 'half_sent', 'nearly_sent', 'sent', 'it''s lost');
CREATE FUNCTION new_old_equals(new_enum_val status, old_enum_val status_old) RETURNS boolean
    AS $$ SELECT new_enum_val::text = old_enum_val::text $$ LANGUAGE sql IMMUTABLE;
CREATE OPERATOR = (leftarg = status, rightarg = status_old, procedure = new_old_equals);
ALTER TABLE orders ALTER COLUMN status DROP DEFAULT;
ALTER TABLE orders ALTER COLUMN status TYPE status USING status::text::status;
ALTER TABLE orders ALTER COLUMN status SET DEFAULT 'drafted'::status;
ALTER TABLE orders ALTER COLUMN earlier DROP DEFAULT;
ALTER TABLE orders ALTER COLUMN earlier TYPE status[] USING earlier::text[]::status[];
ALTER TABLE orders ALTER COLUMN earlier SET DEFAULT '{new,paid}'::status[];
DROP OPERATOR IF EXISTS = (status, status_old);
DROP FUNCTION new_old_equals(new_enum_val status, old_enum_val status_old);
DROP TYPE status_old;
