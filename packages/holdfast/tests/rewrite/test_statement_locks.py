"""The announced locks are the locks that PostgreSQL takes."""

from collections.abc import Iterator

import psycopg
import pytest
import sqlalchemy as sa

from holdfast.observe.catalog import facts_for
from holdfast.rewrite.facts import NewRelations
from holdfast.rewrite.locks import LockMode
from holdfast.rewrite.online import locks_of
from holdfast.rewrite.statement import parse
from holdfast.scratch.databases import Postgres

SCHEMA = """
CREATE TABLE u (id int PRIMARY KEY, code text UNIQUE);
CREATE TABLE t (
  id int PRIMARY KEY, a int, b varchar(50) NOT NULL, c int, u_id int,
  CONSTRAINT t_u FOREIGN KEY (u_id) REFERENCES u (id),
  CONSTRAINT t_a CHECK (a > 0)
);
CREATE INDEX t_b ON t (b);
CREATE TABLE later (id int);
ALTER TABLE later ADD CONSTRAINT later_id CHECK (id > 0) NOT VALID;
CREATE VIEW v AS SELECT a FROM t;
CREATE MATERIALIZED VIEW m AS SELECT a FROM t;
CREATE UNIQUE INDEX m_a ON m (a);
CREATE SEQUENCE s;
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();
CREATE POLICY p ON t;
CREATE RULE r AS ON DELETE TO t DO ALSO NOTIFY t;
CREATE TABLE log (a int NOT NULL, u_id int) PARTITION BY LIST (a);
CREATE TABLE log_1 PARTITION OF log FOR VALUES IN (1);
CREATE TABLE kept (a int NOT NULL, u_id int) PARTITION BY LIST (a);
CREATE TABLE kept_1 PARTITION OF kept FOR VALUES IN (1);
CREATE TABLE kept_rest PARTITION OF kept DEFAULT;
CREATE TABLE log_2 (a int NOT NULL, u_id int);
CREATE TABLE parent (a int);
CREATE TABLE child () INHERITS (parent);
CREATE TABLE orphan (a int);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TABLE domained (a positive);
CREATE TYPE mood AS ENUM ('fine');
"""

ALL = {mode.in_catalog: mode for mode in LockMode}
SHORT = {
    "AE": LockMode.ACCESS_EXCLUSIVE,
    "E": LockMode.EXCLUSIVE,
    "SRE": LockMode.SHARE_ROW_EXCLUSIVE,
    "S": LockMode.SHARE,
    "SUE": LockMode.SHARE_UPDATE_EXCLUSIVE,
}

# A statement, and its locks as {relation: mode}.
CASES = """
ALTER TABLE t ADD COLUMN x int : t AE
ALTER TABLE t ADD COLUMN x int REFERENCES u : t AE, u SRE
ALTER TABLE t DROP COLUMN a CASCADE : t AE, v AE, m AE
ALTER TABLE t DROP COLUMN c : t AE
ALTER TABLE t DROP COLUMN u_id : t AE, u AE
ALTER TABLE t ADD CONSTRAINT x CHECK (a > 0) : t AE
ALTER TABLE t ADD CONSTRAINT x CHECK (a > 0) NOT VALID : t AE
ALTER TABLE t ADD UNIQUE (c) : t AE
ALTER TABLE t ADD FOREIGN KEY (c) REFERENCES u : t SRE, u SRE
ALTER TABLE t ADD FOREIGN KEY (c) REFERENCES u NOT VALID : t SRE, u SRE
ALTER TABLE t ADD FOREIGN KEY (c) REFERENCES t : t SRE
ALTER TABLE t DROP CONSTRAINT t_u : t AE, u AE
ALTER TABLE t DROP CONSTRAINT t_a : t AE
ALTER TABLE u DROP CONSTRAINT u_pkey CASCADE : u AE, t AE
ALTER TABLE u DROP CONSTRAINT u_code_key : u AE
ALTER TABLE later VALIDATE CONSTRAINT later_id : later SUE
ALTER TABLE t ALTER COLUMN c SET NOT NULL : t AE
ALTER TABLE t ALTER COLUMN b DROP NOT NULL : t AE
ALTER TABLE t ALTER COLUMN c SET DEFAULT 5 : t AE
ALTER TABLE t ALTER COLUMN b TYPE text : t AE
ALTER TABLE t ALTER COLUMN u_id TYPE bigint : t AE, u AE
ALTER TABLE u ALTER COLUMN id TYPE bigint : u AE, t AE
ALTER TABLE t ALTER COLUMN a SET STATISTICS 500 : t SUE
ALTER TABLE t ALTER COLUMN b SET STORAGE EXTERNAL : t AE
ALTER TABLE t SET (fillfactor = 70) : t SUE
ALTER TABLE t RESET (fillfactor) : t SUE
ALTER TABLE t CLUSTER ON t_b : t SUE
ALTER TABLE t DISABLE TRIGGER g : t SRE
ALTER TABLE t ENABLE ROW LEVEL SECURITY : t AE
ALTER TABLE t REPLICA IDENTITY FULL : t AE
ALTER TABLE t OWNER TO CURRENT_USER : t AE
ALTER TABLE t SET UNLOGGED : t AE
ALTER TABLE t ADD COLUMN x int, ALTER COLUMN a SET STATISTICS 500 : t AE
ALTER TABLE t RENAME TO x : t AE
ALTER TABLE t RENAME COLUMN c TO x : t AE
ALTER TABLE t RENAME CONSTRAINT t_a TO x : t AE
ALTER INDEX t_b RENAME TO x :
ALTER INDEX t_b SET (fillfactor = 70) :
ALTER TABLE t SET SCHEMA other : t AE
ALTER VIEW v RENAME TO x : v AE
ALTER SEQUENCE s MAXVALUE 500 : s SRE
ALTER SEQUENCE s OWNED BY t.a : s SRE
ALTER TABLE log ADD COLUMN x int : log AE, log_1 AE
ALTER TABLE log RENAME COLUMN u_id TO x : log AE, log_1 AE
ALTER TABLE log ATTACH PARTITION log_2 FOR VALUES IN (2) : log SUE, log_2 AE
ALTER TABLE log DETACH PARTITION log_1 : log AE, log_1 AE
ALTER TABLE kept ATTACH PARTITION log_2 FOR VALUES IN (2) : kept SUE, log_2 AE, kept_rest AE
ALTER TABLE kept DETACH PARTITION kept_1 : kept AE, kept_1 AE, kept_rest AE
ALTER TABLE kept DETACH PARTITION kept_rest : kept AE, kept_rest AE
ALTER TABLE parent ADD COLUMN x int : parent AE, child AE
ALTER TABLE ONLY parent ALTER COLUMN a SET DEFAULT 5 : parent AE
ALTER TABLE child NO INHERIT parent : child AE
ALTER TABLE orphan INHERIT parent : orphan AE, parent SUE
CREATE TABLE n (id int) :
ALTER DOMAIN positive ADD CHECK (VALUE > 1) : domained S
ALTER DOMAIN positive ADD CHECK (VALUE > 1) NOT VALID :
CREATE TABLE n (id int REFERENCES u) : u SRE
CREATE TABLE n (id int, FOREIGN KEY (id) REFERENCES u, c text REFERENCES u (code)) : u SRE
CREATE TABLE n PARTITION OF log FOR VALUES IN (3) : log AE
CREATE TABLE n PARTITION OF kept FOR VALUES IN (3) : kept AE, kept_rest AE
CREATE TABLE n () INHERITS (parent) : parent SUE
CREATE TABLE n (LIKE t INCLUDING ALL) :
CREATE TABLE n AS SELECT a FROM t :
CREATE VIEW n AS SELECT a FROM t :
CREATE OR REPLACE VIEW v AS SELECT a FROM t : v AE
CREATE INDEX ON t (c) : t S
CREATE INDEX ON log (a) : log S, log_1 S
CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f() : t SRE
CREATE POLICY x ON t : t AE
CREATE RULE x AS ON UPDATE TO t DO ALSO NOTIFY t : t AE
CREATE STATISTICS x ON a, b FROM t : t SUE
CREATE PUBLICATION x FOR TABLE t : t SUE
CREATE SEQUENCE x OWNED BY t.a :
DROP INDEX t_b : t AE
DROP TABLE later : later AE
DROP TABLE t CASCADE : t AE, u AE, v AE, m AE
DROP TABLE u CASCADE : u AE, t AE
DROP TABLE log_1 : log_1 AE, log AE
DROP TABLE log : log AE, log_1 AE
DROP VIEW v : v AE
DROP MATERIALIZED VIEW m : m AE
DROP SEQUENCE s : s AE
DROP TRIGGER g ON t : t AE
DROP POLICY p ON t : t AE
DROP RULE r ON t : t AE
DROP TYPE mood :
ALTER TRIGGER g ON t RENAME TO x : t AE
ALTER POLICY p ON t RENAME TO x : t AE
ALTER POLICY p ON t USING (true) : t AE
ALTER TYPE mood ADD VALUE 'good' :
COMMENT ON TABLE t IS 'x' : t SUE
COMMENT ON COLUMN t.a IS 'x' : t SUE
COMMENT ON CONSTRAINT t_a ON t IS 'x' :
COMMENT ON INDEX t_b IS 'x' :
COMMENT ON VIEW v IS 'x' : v SUE
COMMENT ON TRIGGER g ON t IS 'x' :
GRANT SELECT ON t TO PUBLIC :
TRUNCATE t : t AE
TRUNCATE u CASCADE : u AE, t AE
ANALYZE t : t SUE
CLUSTER t USING t_b : t AE
REINDEX TABLE t : t S
REINDEX INDEX t_b : t S
REFRESH MATERIALIZED VIEW m : m AE
REFRESH MATERIALIZED VIEW CONCURRENTLY m : m E
LOCK TABLE t IN EXCLUSIVE MODE : t E
LOCK TABLE t : t AE
INSERT INTO t (id, b) VALUES (1, 'x') :
SELECT a FROM t :
""".strip().splitlines()

LOCKS_HELD = """
SELECT relation, mode FROM pg_locks
WHERE pid = pg_backend_pid() AND locktype = 'relation' AND granted
"""
RELATIONS = """
SELECT oid, relname FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'S')
"""


@pytest.fixture(scope="module")
def connection(each_postgres: Postgres) -> Iterator[sa.Connection]:
    """One session for all cases: each of them is rolled back."""

    def build(url: str) -> None:
        with psycopg.connect(url) as connection:
            connection.execute(SCHEMA)
            connection.execute("CREATE SCHEMA other")

    template = each_postgres.template("every kind of relation", build)
    url = each_postgres.url(template).replace("://", "+psycopg://")
    with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
        yield connection


def expected(case: str) -> tuple[str, dict[str, LockMode]]:
    sql, _, locks = case.rpartition(":")
    pairs = [pair.split() for pair in locks.split(",") if pair.strip()]
    return sql.strip(), {relation: SHORT[mode] for relation, mode in pairs}


def announced(connection: sa.Connection, sql: str) -> dict[str, LockMode]:
    (statement,) = parse(sql)
    with connection.begin() as transaction:
        facts = facts_for(connection, statement, new=NewRelations())
        transaction.rollback()
    return {lock.relation.name: lock.mode for lock in locks_of(statement, facts=facts)}


def taken(connection: sa.Connection, sql: str) -> dict[str, LockMode]:
    """The strongest lock on each relation that was there before, of those that block anything."""
    locks: dict[str, LockMode] = {}
    with connection.begin() as transaction:
        before = dict(connection.exec_driver_sql(RELATIONS).all())
        connection.exec_driver_sql(sql)
        for oid, name in connection.exec_driver_sql(LOCKS_HELD):
            if oid in before:
                mode = locks.get(before[oid], ALL[name])
                locks[before[oid]] = max(mode, ALL[name], key=lambda mode: mode.strength)
        transaction.rollback()
    weak = LockMode.ROW_EXCLUSIVE.strength
    return {relation: mode for relation, mode in locks.items() if mode.strength > weak}


@pytest.mark.parametrize("case", CASES, ids=[expected(case)[0] for case in CASES])
def test_announced_locks_are_taken(case: str, connection: sa.Connection) -> None:
    """What is announced, what PostgreSQL takes and what is written here are the same."""
    sql, locks = expected(case)
    assert announced(connection, sql) == locks
    assert taken(connection, sql) == locks


# PostgreSQL refuses these inside a transaction: what they take is known from the manual.
OUTSIDE = [
    ("CREATE INDEX CONCURRENTLY x ON t (c)", {"t": LockMode.SHARE_UPDATE_EXCLUSIVE}),
    ("DROP INDEX CONCURRENTLY t_b", {"t": LockMode.SHARE_UPDATE_EXCLUSIVE}),
    ("REINDEX TABLE CONCURRENTLY t", {"t": LockMode.SHARE_UPDATE_EXCLUSIVE}),
    ("VACUUM t", {"t": LockMode.SHARE_UPDATE_EXCLUSIVE}),
    ("VACUUM (FULL) t", {"t": LockMode.ACCESS_EXCLUSIVE}),
    (
        "ALTER TABLE log DETACH PARTITION log_1 CONCURRENTLY",
        {"log": LockMode.SHARE_UPDATE_EXCLUSIVE, "log_1": LockMode.ACCESS_EXCLUSIVE},
    ),
]


@pytest.mark.parametrize(("sql", "locks"), OUTSIDE, ids=[sql for sql, _ in OUTSIDE])
def test_outside_a_transaction(
    sql: str, locks: dict[str, LockMode], connection: sa.Connection
) -> None:
    """Concurrent forms let reads and writes go on."""
    assert announced(connection, sql) == locks
