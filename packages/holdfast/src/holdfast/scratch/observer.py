"""Observes what statements do on a scratch database: the locks they hold, what they scan and rewrite.

Event triggers write it down in the statement's own transaction. Scans are counted when they begin and rewrites
seen by relfilenode, so no table needs rows. Bodies (DO, CALL, a function in a SELECT) may do more than DDL: LOCK TABLE,
writes; so a look is sent before and behind each, on its own connection. What runs outside a transaction is not seen.
https://www.postgresql.org/docs/current/event-triggers.html
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import Connection, Engine, event

from holdfast.execute.session import OwnEngine
from holdfast.observe.other_tools import NAMES
from holdfast.rewrite.locks import Lock, LockMode, strongest
from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.statement import after_comments

INSTALL = """
CREATE SCHEMA IF NOT EXISTS holdfast;
CREATE TABLE holdfast.seen (
  id bigint GENERATED ALWAYS AS IDENTITY, xid text, query text, locks text[], scans text[], rewrites text[],
  row_writes text[]);
CREATE TABLE holdfast.in_use (oid oid PRIMARY KEY, name text[]);
CREATE TABLE holdfast.before (oid oid, file oid, scans int8);
CREATE FUNCTION holdfast.look_before_body() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM holdfast.before;
  INSERT INTO holdfast.before SELECT oid, pg_relation_filenode(oid), pg_stat_get_xact_numscans(oid)
    FROM holdfast.in_use;
END $$;
CREATE FUNCTION holdfast.look_after_body(body text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO holdfast.seen (xid, query, locks, scans, rewrites, row_writes) SELECT
    pg_current_xact_id()::text, body,
    ARRAY(SELECT mode || name[1] || chr(1) || name[2] FROM pg_locks JOIN holdfast.in_use ON oid = relation
      WHERE pid = pg_backend_pid() AND granted),
    ARRAY(SELECT name[1] || chr(1) || name[2] FROM holdfast.before JOIN holdfast.in_use USING (oid)
      WHERE pg_stat_get_xact_numscans(oid) > scans),
    ARRAY(SELECT name[1] || chr(1) || name[2] FROM holdfast.before JOIN holdfast.in_use USING (oid)
      WHERE pg_relation_filenode(oid) <> file),
    ARRAY(SELECT name[1] || chr(1) || name[2] FROM holdfast.before JOIN holdfast.in_use USING (oid)
      JOIN pg_locks ON relation = oid AND pid = pg_backend_pid() AND granted AND mode = 'RowExclusiveLock'
      WHERE pg_stat_get_xact_numscans(oid) > scans);
END $$;
CREATE FUNCTION holdfast.look_before() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_query() ~* '\\mconcurrently\\M' THEN RETURN; END IF;
  PERFORM holdfast.look_before_body();
END $$;
CREATE FUNCTION holdfast.look_after() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_query() ~* '\\mconcurrently\\M' THEN RETURN; END IF;
  PERFORM holdfast.look_after_body(current_query());
END $$;
CREATE EVENT TRIGGER holdfast_before ON ddl_command_start EXECUTE FUNCTION holdfast.look_before();
CREATE EVENT TRIGGER holdfast_after ON ddl_command_end EXECUTE FUNCTION holdfast.look_after();
"""
IN_USE = """
INSERT INTO holdfast.in_use
  SELECT c.oid, ARRAY[nspname::text, relname::text] FROM pg_class c
  JOIN pg_namespace n ON n.oid = relnamespace
  WHERE relkind IN ('r', 'p', 'm') AND relname <> ALL (%s)
    AND nspname NOT IN ('holdfast', 'pg_catalog', 'information_schema', 'pg_toast')
  ON CONFLICT (oid) DO UPDATE SET name = excluded.name
"""
# Sent in every database that is met meanwhile; only in the scratch one there is something to call.
LOOK_AT_BODY = sql.SQL(
    "DO $look$ BEGIN IF to_regclass('holdfast.seen') IS NOT NULL THEN PERFORM {look}; END IF; END $look$"
)
BODIES = ("DO", "CALL", "SELECT", "WITH")
QUEUED_BODIES = ("DO", "CALL")  # run from the queue, in our own session
SEEN = "SELECT xid, query, locks, scans, rewrites, row_writes FROM holdfast.seen ORDER BY id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one executed statement was seen to lock, scan and rewrite."""

    sql: str
    locks: tuple[Lock, ...]  # what its transaction held when it ended, above what every query takes
    scans: tuple[QualifiedName, ...]
    rewrites: tuple[QualifiedName, ...]
    row_writes: tuple[QualifiedName, ...]  # read in full by it, and written by its transaction
    transaction: str


class Observer:
    """Observes one database. Sees nothing if the role may not create event triggers."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        try:
            connection.execute(INSTALL)
            self.can_see = True
        except psycopg.errors.InsufficientPrivilege:
            self.can_see = False

    def note_tables(self) -> None:
        """Note the existing tables, except records of migrations: from now on they count as in use."""
        if self.can_see:
            self._connection.execute(IN_USE, [sorted(NAMES)])

    def seen(self) -> tuple[Seen, ...]:
        """Give everything that was committed so far, in order."""
        if not self.can_see:
            return ()
        return tuple(
            Seen(
                sql=after_comments(query),
                locks=_locks(locks),
                scans=tuple(map(_name, scans)),
                rewrites=tuple(map(_name, rewrites)),
                row_writes=tuple(map(_name, row_writes)),
                transaction=xid,
            )
            for xid, query, locks, scans, rewrites, row_writes in self._connection.execute(SEEN)
        )


@contextmanager
def observing(url: str) -> Iterator[Observer]:
    """Observe a database in the block, whether or not holdfast has its schema there already."""
    with psycopg.connect(url, autocommit=True) as connection:
        observer = Observer(connection)
        if not observer.can_see:
            yield observer
            return
        event.listen(Engine, "before_cursor_execute", _before_body)
        event.listen(Engine, "after_cursor_execute", _after_body)
        try:
            yield observer
        finally:
            event.remove(Engine, "before_cursor_execute", _before_body)
            event.remove(Engine, "after_cursor_execute", _after_body)


def _is_body(connection: Connection, statement: str) -> bool:
    """Whether it is a body that an author sends: none of our own questions is one."""
    is_own = isinstance(connection.engine, OwnEngine)
    kinds = QUEUED_BODIES if is_own else BODIES
    return after_comments(statement)[:6].upper().startswith(kinds)


def _before_body(connection: Connection, _: Any, statement: str, *__: Any) -> None:
    if _is_body(connection, statement):
        _look(connection, sql.SQL("holdfast.look_before_body()"))


def _after_body(connection: Connection, _: Any, statement: str, *__: Any) -> None:
    if _is_body(connection, statement):
        look = sql.SQL("holdfast.look_after_body({})").format(
            sql.Literal(statement.replace("%%", "%"))  # as the driver doubles it
        )
        _look(connection, look)


def _look(connection: Connection, look: sql.Composable) -> None:
    """Ask on a cursor of the driver's own, which nobody listens to."""
    with closing(connection.connection.cursor()) as cursor:
        cursor.execute(LOOK_AT_BODY.format(look=look).as_string(None))


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
