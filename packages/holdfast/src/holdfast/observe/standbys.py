"""Asks standbys who reads a table there and how far they have replayed, and the primary who follows it.

A lock of a migration is replayed on a standby: with hot_standby_feedback it waits there for whoever reads the table,
and all who come later wait behind it, up to max_standby_streaming_delay. No lock_timeout reaches that.
https://www.postgresql.org/docs/current/hot-standby.html#HOT-STANDBY-CONFLICT
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import LiteralString

import psycopg
from psycopg.rows import class_row
from sqlalchemy import Connection, text

from holdfast.rewrite.names import QualifiedName

# One row: the standbys that stream from this server, and what this role sees of them. Subscribers are none.
REPLICATION = text(
    """
    SELECT count(*) AS standbys, count(*) FILTER (WHERE state IS NULL) AS hidden,
           coalesce(array_agg(coalesce(application_name, '') ORDER BY pid)
                    FILTER (WHERE replay_lsn < CAST(CAST(:target AS text) AS pg_lsn)), '{}') AS behind
    FROM pg_stat_replication r
    WHERE NOT EXISTS (SELECT FROM pg_replication_slots s WHERE s.active_pid = r.pid AND s.slot_type = 'logical')
    """
)
POSITION = text("SELECT pg_current_wal_insert_lsn()::text")
# One row, on a standby: whether it has passed a position of the primary, and how old what it replays is.
REPLAYED: LiteralString = """
    SELECT pg_is_in_recovery() AS is_standby,
           %(target)s::pg_lsn IS NULL OR pg_last_wal_replay_lsn() >= %(target)s::pg_lsn AS has_passed,
           CASE WHEN pg_last_wal_receive_lsn() IS DISTINCT FROM pg_last_wal_replay_lsn()
                THEN clock_timestamp() - pg_last_xact_replay_timestamp() END AS lag
"""
# One row, on a standby: what becomes of its readers when a lock is replayed. The delay in milliseconds; -1: no end.
READING: LiteralString = """
    SELECT pg_is_in_recovery() AS is_standby, current_setting('hot_standby_feedback') = 'on' AS has_feedback,
           (SELECT setting::bigint FROM pg_settings WHERE name = 'max_standby_streaming_delay') AS delay,
           CASE WHEN pg_last_wal_receive_lsn() IS DISTINCT FROM pg_last_wal_replay_lsn()
                THEN clock_timestamp() - pg_last_xact_replay_timestamp() END AS lag
"""
# A row per transaction on a standby that has locked one of these tables. ACCESS EXCLUSIVE is replay itself.
READERS: LiteralString = """
    SELECT DISTINCT ON (l.virtualtransaction, c.oid) l.virtualtransaction AS transaction, l.pid, l.mode,
           c.relname AS relation, a.xact_start AS since, clock_timestamp() - a.xact_start AS age, a.state,
           nullif(a.query, '') AS query, concat_ws(', ', a.usename, nullif(a.application_name, '')) AS who
    FROM unnest(%(schemas)s::text[], %(names)s::text[]) AS wanted (schema, name)
    JOIN pg_namespace n ON n.nspname = wanted.schema
    JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.name
    JOIN pg_locks l ON l.locktype = 'relation' AND l.relation = c.oid AND l.granted
    JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
    LEFT JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.pid <> pg_backend_pid() AND l.mode <> 'AccessExclusiveLock'
    ORDER BY l.virtualtransaction, c.oid, l.mode
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replication:
    """The standbys that stream from a primary, as far as a role may see them."""

    standbys: int
    hidden: int  # of these: how far they are is not this role's to know
    behind: tuple[str, ...]  # the names of those that have not replayed a position yet


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayState:
    """How far one standby has replayed."""

    is_standby: bool
    has_passed: bool
    lag: timedelta | None  # None: nothing is left to replay


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingOnStandby:
    """How a standby treats its readers."""

    is_standby: bool
    has_feedback: bool  # then a lock that is replayed waits for readers, and later ones wait for it
    delay: int  # for so many milliseconds; -1: as long as it takes
    lag: timedelta | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StandbyReader:
    """A transaction on a standby that has locked a table."""

    transaction: str
    pid: int
    who: str
    relation: str
    mode: str
    since: datetime | None  # None, and so are the next three: not this role's to know
    age: timedelta | None
    state: str | None
    query: str | None


def replication(connection: Connection, *, target: str | None) -> Replication:
    """Give what the primary says of its standbys, and of those that have not passed a position of its WAL."""
    row = connection.execute(REPLICATION, {"target": target}).one()
    return Replication(standbys=row.standbys, hidden=row.hidden, behind=tuple(row.behind))


def position(connection: Connection) -> str:
    """Give the position where the primary's WAL ends now."""
    end: str = connection.execute(POSITION).scalar_one()
    return end


def replay(connection: psycopg.Connection, *, target: str | None) -> ReplayState:
    """Ask a standby how far it has replayed."""
    with connection.cursor(row_factory=class_row(ReplayState)) as cursor:
        found = cursor.execute(REPLAYED, {"target": target}).fetchone()
    assert found is not None  # noqa: S101  # it has no FROM
    return found


def reading(connection: psycopg.Connection) -> ReadingOnStandby:
    """Ask a standby what happens to its readers."""
    with connection.cursor(row_factory=class_row(ReadingOnStandby)) as cursor:
        found = cursor.execute(READING).fetchone()
    assert found is not None  # noqa: S101  # it has no FROM
    return found


def readers(
    connection: psycopg.Connection, tables: Iterable[QualifiedName]
) -> tuple[StandbyReader, ...]:
    """Ask a standby who has locked one of these tables there."""
    named = list(tables)
    values = {"schemas": [each.schema for each in named], "names": [each.name for each in named]}
    with connection.cursor(row_factory=class_row(StandbyReader)) as cursor:
        return tuple(cursor.execute(READERS, values).fetchall())
