"""What each statement of DDL does on a scratch database: the locks that it holds, what it scans and what it rewrites.

Event triggers write it down in the statement's own transaction. Scans are counted when they begin and rewrites
seen by relfilenode, so no table needs rows. What runs outside a transaction is not seen.
https://www.postgresql.org/docs/current/event-triggers.html
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg

from holdfast.rewrite.locks import Lock, LockMode, strongest
from holdfast.rewrite.names import QualifiedName

INSTALL = """
CREATE TABLE holdfast.seen (
  id bigint GENERATED ALWAYS AS IDENTITY, xid text, query text, locks text[], scans text[], rewrites text[]);
CREATE TABLE holdfast.in_use (oid oid PRIMARY KEY, name text[]);
CREATE TABLE holdfast.before (oid oid, file oid, scans int8);
CREATE FUNCTION holdfast.look_before() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_query() ~* '\\mconcurrently\\M' THEN RETURN; END IF;
  DELETE FROM holdfast.before;
  INSERT INTO holdfast.before SELECT oid, pg_relation_filenode(oid), pg_stat_get_xact_numscans(oid)
    FROM holdfast.in_use;
END $$;
CREATE FUNCTION holdfast.look_after() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_query() ~* '\\mconcurrently\\M' THEN RETURN; END IF;
  INSERT INTO holdfast.seen (xid, query, locks, scans, rewrites) SELECT
    pg_current_xact_id()::text, current_query(),
    ARRAY(SELECT mode || name[1] || chr(1) || name[2] FROM pg_locks JOIN holdfast.in_use ON oid = relation
      WHERE pid = pg_backend_pid() AND granted),
    ARRAY(SELECT name[1] || chr(1) || name[2] FROM holdfast.before JOIN holdfast.in_use USING (oid)
      WHERE pg_stat_get_xact_numscans(oid) > scans),
    ARRAY(SELECT name[1] || chr(1) || name[2] FROM holdfast.before JOIN holdfast.in_use USING (oid)
      WHERE pg_relation_filenode(oid) <> file);
END $$;
CREATE EVENT TRIGGER holdfast_before ON ddl_command_start EXECUTE FUNCTION holdfast.look_before();
CREATE EVENT TRIGGER holdfast_after ON ddl_command_end EXECUTE FUNCTION holdfast.look_after();
"""
IN_USE = """
INSERT INTO holdfast.in_use
  SELECT c.oid, ARRAY[nspname::text, relname::text] FROM pg_class c
  JOIN pg_namespace n ON n.oid = relnamespace
  WHERE relkind IN ('r', 'p', 'm') AND relname <> 'alembic_version'
    AND nspname NOT IN ('holdfast', 'pg_catalog', 'information_schema', 'pg_toast')
  ON CONFLICT (oid) DO UPDATE SET name = excluded.name
"""
SEEN = "SELECT xid, query, locks, scans, rewrites FROM holdfast.seen ORDER BY id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one executed statement was seen to lock, scan and rewrite."""

    sql: str
    locks: tuple[Lock, ...]  # what its transaction held when it ended, above what every query takes
    scans: tuple[QualifiedName, ...]
    rewrites: tuple[QualifiedName, ...]
    transaction: str


class Observer:
    """Observes one database. Nothing is seen where the role may not create event triggers."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        try:
            connection.execute(INSTALL)
            self.can_see = True
        except psycopg.errors.InsufficientPrivilege:
            self.can_see = False

    def note_tables(self) -> None:
        """Take note of the tables that exist: from now on they count as in use."""
        if self.can_see:
            self._connection.execute(IN_USE)

    def seen(self) -> tuple[Seen, ...]:
        """Give everything that was committed so far, in order."""
        if not self.can_see:
            return ()
        return tuple(
            Seen(
                sql=query,
                locks=_locks(locks),
                scans=tuple(map(_name, scans)),
                rewrites=tuple(map(_name, rewrites)),
                transaction=xid,
            )
            for xid, query, locks, scans, rewrites in self._connection.execute(SEEN)
        )


@contextmanager
def observing(url: str) -> Iterator[Observer]:
    """Observe a database in which holdfast has its schema, for the block."""
    with psycopg.connect(url, autocommit=True) as connection:
        yield Observer(connection)


def _name(text: str) -> QualifiedName:
    schema, _, name = text.partition("\x01")
    return QualifiedName(schema=schema, name=name)


def _locks(texts: list[str]) -> tuple[Lock, ...]:
    modes = {mode.in_catalog: mode for mode in LockMode}
    held = [
        Lock(mode=modes[mode + "Lock"], relation=_name(relation))
        for mode, _, relation in (text.partition("Lock") for text in sorted(texts))
    ]
    least = LockMode.SHARE_UPDATE_EXCLUSIVE.strength
    return strongest(tuple(lock for lock in held if lock.mode.strength >= least))
