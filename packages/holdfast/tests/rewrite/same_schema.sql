-- Each paragraph is a case of test_same_schema.py: a script, run on the tables u and t in a schema of its own.
-- A paragraph of comments alone is a heading.

-- Names that PostgreSQL chooses.

ALTER TABLE t ADD UNIQUE (a);
ALTER TABLE t ADD UNIQUE (a);

ALTER TABLE t ADD UNIQUE (a), ADD UNIQUE (a), ADD UNIQUE (a, b) INCLUDE (c);

ALTER TABLE t ADD CHECK (a > 0);
ALTER TABLE t ADD CHECK (a > -1), ADD CHECK (a >= b::int);

ALTER TABLE t ADD FOREIGN KEY (u_id) REFERENCES u;
ALTER TABLE t ADD FOREIGN KEY (u_id) REFERENCES u (a);

CREATE INDEX ON t (a);
CREATE INDEX ON t (a);
CREATE INDEX ON t (a, b, lower(b), upper(b));

CREATE INDEX ON t ((a + 1), (b::varchar), coalesce(a, 0)) INCLUDE (c);

CREATE INDEX ON t ((CASE WHEN a > 1 THEN b ELSE lower(b) END), (a IS NULL));

CREATE INDEX ON t ((b COLLATE "C"), (a::text || b), a, (a));

CREATE INDEX ON t ("Mixed Case");
ALTER TABLE t ADD UNIQUE ("Mixed Case", "select");

ALTER TABLE t ALTER "Mixed Case" SET NOT NULL, ALTER "select" SET NOT NULL;

ALTER TABLE a_table_with_a_name_that_is_nearly_as_long_as_names_can_be_here
    ADD UNIQUE (a_column_with_a_name_that_is_nearly_as_long_as_names_can_be_her),
    ADD UNIQUE (a_column_with_a_name_that_is_nearly_as_long_as_names_can_be_her, b),
    ALTER a_column_with_a_name_that_is_nearly_as_long_as_names_can_be_her SET NOT NULL,
    ADD PRIMARY KEY (b);
CREATE INDEX ON a_table_with_a_name_that_is_nearly_as_long_as_names_can_be_here
    (a_column_with_a_name_that_is_nearly_as_long_as_names_can_be_her, b);
CREATE INDEX ON a_table_with_a_name_that_is_nearly_as_long_as_names_can_be_here
    (b, a_column_with_a_name_that_is_nearly_as_long_as_names_can_be_her);

ALTER TABLE "größe" ADD UNIQUE ("länge_länge_länge_länge_länge_länge_länge_länge", a);

CREATE TABLE x (id int);
CREATE INDEX ON x (id);
ALTER TABLE x ADD PRIMARY KEY (id);

CREATE TABLE x (u_id int REFERENCES u, other int REFERENCES u (a), FOREIGN KEY (u_id, other) REFERENCES u (id, a) MATCH FULL ON DELETE SET NULL (other));

CREATE TABLE x (id int PRIMARY KEY, x_id int REFERENCES x, u_id int REFERENCES u);
ALTER TABLE x ADD FOREIGN KEY (id) REFERENCES t (id);

CREATE TABLE IF NOT EXISTS x (u_id int REFERENCES u);
CREATE TABLE IF NOT EXISTS x (a int);

CREATE TABLE "X y" ("u id" int REFERENCES u CHECK ("u id" > 0) NOT NULL);

CREATE TABLE x (u_id int CONSTRAINT k REFERENCES u NOT DEFERRABLE DEFAULT 5 NOT NULL);

CREATE TABLE x (LIKE t INCLUDING ALL, FOREIGN KEY (u_id) REFERENCES u);

CREATE TABLE x (u_id int REFERENCES u DEFERRABLE INITIALLY IMMEDIATE) WITH (fillfactor = 50);

CREATE UNLOGGED TABLE x (u_id int REFERENCES u);
COMMENT ON TABLE x IS 'x';

-- Options.

CREATE UNIQUE INDEX i ON t USING btree (a DESC, b ASC NULLS FIRST) NULLS NOT DISTINCT;

-- Dropping.

CREATE INDEX i ON t USING hash (b);
CREATE INDEX j ON t USING gin (to_tsvector('simple', b));

-- Dropping.

CREATE INDEX i ON t USING brin (a) WITH (pages_per_range = 5, autosummarize);

-- Dropping.

CREATE INDEX i ON t (b varchar_pattern_ops, (b || 'it''s %') text_ops) WHERE b <> '%%' AND a > 1;

CREATE INDEX IF NOT EXISTS i ON t (a);
CREATE INDEX IF NOT EXISTS i ON t (b);

CREATE INDEX i ON ONLY t (a);
COMMENT ON INDEX i IS 'x';
ALTER INDEX i RENAME TO j;

CREATE INDEX CONCURRENTLY i ON t (a);
DROP INDEX CONCURRENTLY i;
CREATE INDEX i ON t (b);

-- Several actions that need each other.

ALTER TABLE t ADD CONSTRAINT k UNIQUE NULLS NOT DISTINCT (a, b) INCLUDE (c) WITH (fillfactor = 50) DEFERRABLE INITIALLY DEFERRED;
COMMENT ON CONSTRAINT k ON t IS 'x';

-- Several actions that need each other.

ALTER TABLE t ADD CONSTRAINT k CHECK (a > 0) NO INHERIT, ADD CONSTRAINT l CHECK (b <> '');

ALTER TABLE ONLY t ADD CHECK (a > 0);
ALTER TABLE IF EXISTS t ADD CHECK (b <> '');

ALTER TABLE t ADD FOREIGN KEY (u_id) REFERENCES u MATCH FULL ON UPDATE SET DEFAULT ON DELETE SET NULL DEFERRABLE;

ALTER TABLE t ADD FOREIGN KEY (d) REFERENCES t (id);

-- Several actions that need each other.

ALTER TABLE t ADD COLUMN x int REFERENCES u DEFERRABLE INITIALLY DEFERRED UNIQUE CHECK (x > 0);

-- Several actions that need each other.

ALTER TABLE t ADD COLUMN x int CONSTRAINT k UNIQUE DEFERRABLE, ADD COLUMN y int DEFAULT 5 NOT NULL;

-- Several actions that need each other.

ALTER TABLE t ADD COLUMN IF NOT EXISTS a int UNIQUE, ADD COLUMN IF NOT EXISTS x int UNIQUE;

-- Several actions that need each other.

ALTER TABLE t ADD COLUMN x int, ADD UNIQUE (x), ADD FOREIGN KEY (x) REFERENCES u, ADD CHECK (x > 0);

-- Several actions that need each other.

ALTER TABLE t ADD CONSTRAINT k CHECK (a > 0);
ALTER TABLE t DROP CONSTRAINT k, ADD CONSTRAINT k CHECK (a > -5);

ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (a, c);

ALTER TABLE t DROP CONSTRAINT t_pkey, ADD CONSTRAINT t_pkey PRIMARY KEY (id, a);

-- Options.

CREATE UNIQUE INDEX i ON t (a);
ALTER TABLE t DROP CONSTRAINT t_pkey, ADD CONSTRAINT k PRIMARY KEY USING INDEX i;

-- Options.

CREATE UNIQUE INDEX i ON t (a);
ALTER TABLE t ADD UNIQUE USING INDEX i;

ALTER TABLE t ALTER a SET NOT NULL, ALTER a DROP DEFAULT, ALTER c SET DEFAULT 5, DROP COLUMN d;

-- Several actions that need each other.

ALTER TABLE t ADD CONSTRAINT k CHECK (a IS NOT NULL);
ALTER TABLE t ALTER a SET NOT NULL;

-- Several actions that need each other.

ALTER TABLE t ADD CONSTRAINT k CHECK (a IS NOT NULL);
ALTER TABLE t ALTER a SET NOT NULL, DROP CONSTRAINT k;

ALTER TABLE t ALTER a SET NOT NULL;
ALTER TABLE t ALTER a SET NOT NULL, ALTER c SET NOT NULL;

-- Dropping.

CREATE INDEX i ON t (a, c);
CREATE INDEX j ON t (lower(b)) WHERE c > 1;
ALTER TABLE t ADD FOREIGN KEY (u_id, a) REFERENCES u (id, a);
ALTER TABLE t DROP COLUMN a, DROP COLUMN c, DROP COLUMN u_id;

ALTER TABLE t ADD FOREIGN KEY (u_id) REFERENCES u;
ALTER TABLE u DROP COLUMN id CASCADE;

ALTER TABLE t ADD FOREIGN KEY (u_id) REFERENCES u;
DROP TABLE u CASCADE;

CREATE VIEW v AS SELECT a FROM t;
DROP TABLE t CASCADE;

CREATE VIEW v AS SELECT a FROM t;
ALTER TABLE t DROP COLUMN a CASCADE;

ALTER TABLE t ADD FOREIGN KEY (u_id) REFERENCES u;
DROP TABLE IF EXISTS u, missing, t;

-- Dropping.

CREATE INDEX i ON t (a);
DROP INDEX IF EXISTS i, missing;
DROP INDEX IF EXISTS i;

-- Dropping.

CREATE INDEX i ON t (a);
DROP INDEX i CASCADE;

-- Several actions that need each other.

ALTER TABLE t ADD CONSTRAINT k FOREIGN KEY (u_id) REFERENCES u;
ALTER TABLE t DROP CONSTRAINT k;

-- Inheritance and partitions.

CREATE TABLE p (a int, u_id int);
CREATE TABLE h () INHERITS (p);
ALTER TABLE p ADD CHECK (a > 0), ALTER u_id SET NOT NULL, ADD COLUMN x int CHECK (x > 0);

-- Inheritance and partitions.

CREATE TABLE p (a int, u_id int) PARTITION BY LIST (a);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
ALTER TABLE p ADD CHECK (a > 0);
ALTER TABLE p ALTER u_id SET NOT NULL;
ALTER TABLE p ADD COLUMN x int REFERENCES u;

-- Inheritance and partitions.

CREATE TABLE p (a int REFERENCES u, b int) PARTITION BY LIST (a);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
CREATE INDEX ON p (b);

-- Renames, and objects of other kinds in between.

-- holdfast: allow a new name until 2027-01-01
ALTER TABLE t RENAME TO x;
CREATE INDEX ON x (a);
ALTER TABLE x RENAME a TO y; -- holdfast: allow a new name until 2027-01-01
ALTER TABLE x ADD UNIQUE (y);

CREATE MATERIALIZED VIEW m AS SELECT a, b FROM t;
CREATE UNIQUE INDEX ON m (a);
REFRESH MATERIALIZED VIEW m;

CREATE TABLE x AS SELECT * FROM t;
ALTER TABLE x ADD PRIMARY KEY (id);

CREATE TYPE e AS ENUM ('a');
ALTER TYPE e ADD VALUE 'b';
ALTER TABLE t ADD x e DEFAULT 'b';

DO $$ BEGIN EXECUTE 'CREATE INDEX i ON t (a)';
END $$;
DROP INDEX i;

CREATE SEQUENCE s;
ALTER TABLE t ALTER a SET DEFAULT nextval('s');
ALTER SEQUENCE s OWNED BY t.a;

-- Dropping.

CREATE INDEX i ON t (a);
ALTER TABLE t CLUSTER ON i;
ALTER TABLE t ALTER a SET NOT NULL;
CREATE UNIQUE INDEX j ON t (a);
ALTER TABLE t REPLICA IDENTITY USING INDEX j;

-- Several actions that need each other.

-- Since PostgreSQL 18.
ALTER TABLE t ADD CONSTRAINT k NOT NULL a;
ALTER TABLE t ADD NOT NULL b;

-- Several actions that need each other.

-- Since PostgreSQL 18.
ALTER TABLE t ADD CONSTRAINT k NOT NULL a NOT VALID;
ALTER TABLE t ALTER a SET NOT NULL;

-- Several actions that need each other.

-- Since PostgreSQL 18.
ALTER TABLE t ADD CONSTRAINT k NOT NULL a NOT VALID;
ALTER TABLE t VALIDATE CONSTRAINT k;
ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (a);

-- Since PostgreSQL 18.
ALTER TABLE t ADD FOREIGN KEY (u_id) REFERENCES u NOT ENFORCED, ADD CHECK (a > 0) NOT ENFORCED;

-- Several actions that need each other.

-- Since PostgreSQL 18.
ALTER TABLE t ADD COLUMN x int REFERENCES u NOT ENFORCED CHECK (x > 0) NOT ENFORCED;

-- Since PostgreSQL 18.
CREATE TABLE x (u_id int REFERENCES u NOT ENFORCED);

-- Several actions that need each other.

-- Since PostgreSQL 18.
ALTER TABLE t ADD COLUMN x int GENERATED ALWAYS AS (a + 1) VIRTUAL;

-- Inheritance and partitions.

-- Since PostgreSQL 18.
CREATE TABLE p (a int, u_id int) PARTITION BY LIST (a);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
ALTER TABLE p ADD FOREIGN KEY (u_id) REFERENCES u;

ALTER TABLE t ADD CONSTRAINT k CHECK (v <> '' AND n > 0), ADD CHECK (n < 500) NO INHERIT;
COMMENT ON CONSTRAINT k ON t IS 'it''s';
ALTER TABLE t ALTER v TYPE varchar(40), ALTER w TYPE text, ADD COLUMN x int UNIQUE;
ALTER TABLE t ALTER n TYPE numeric(12, 2), ALTER n SET NOT NULL;

ALTER TABLE t ADD COLUMN x serial, ADD COLUMN y uuid DEFAULT gen_random_uuid() NOT NULL,
    ADD COLUMN z bigint GENERATED ALWAYS AS IDENTITY (MINVALUE 5 CACHE 3) UNIQUE, ADD COLUMN zz int;

ALTER TABLE t ADD COLUMN "It's" smallserial NOT NULL CHECK ("It's" > 0);
UPDATE t SET "Mixed Case" = 5 WHERE "It's" = 3;

CREATE UNIQUE INDEX i ON t ("Mixed Case", "select") INCLUDE (a);
ALTER TABLE t ALTER "Mixed Case" SET NOT NULL, ALTER "select" SET NOT NULL, DROP CONSTRAINT t_pkey;
ALTER TABLE t ADD COLUMN x serial;
