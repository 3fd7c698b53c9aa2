"""Finds who keeps a migration from its lock: sessions whose granted locks conflict with the one it wants.

After a lock_timeout pg_blocking_pids() is empty, because nobody waits any more; pg_locks still knows the holders.
Their queries are shown without the values in them, which may be a user's data.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from sqlalchemy import Connection, Row, TextClause, text

from holdfast.observe.shown_query import shown_query
from holdfast.rewrite.locks import Lock, LockMode
from holdfast.rewrite.names import QualifiedName


class BlockerKind(Enum):
    """The kind of session that a blocker is, which decides what can be done about it."""

    SESSION = "session"
    IDLE_IN_TRANSACTION = "session idle in transaction"
    DUMP = "pg_dump"
    AUTOVACUUM = "autovacuum"
    WRAPAROUND = "autovacuum to prevent wraparound"
    PREPARED = "prepared transaction"
    STANDBY = "standby"


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocker:
    """A session that holds a conflicting lock."""

    kind: BlockerKind
    transaction: str  # as pg_locks numbers it: tells one transaction of a session from the next
    pid: int | None  # None for a prepared transaction
    who: str
    relation: str
    mode: str
    since: datetime | None  # start of its transaction
    query: str | None = (
        None  # its last one, without values; None: it has none, or this role may not see it
    )
    standby: str | None = None  # where it is, if not on the primary
    worker: str | None = (
        None  # through which it came into a Citus cluster; then `pid` is the global one
    )

    def __str__(self) -> str:
        if self.kind is BlockerKind.STANDBY:
            return f"standby {self.who} has not replayed yet what was done before"
        since = f" since {self.since:%Y-%m-%d %H:%M:%S%z}" if self.since else ""
        pid = f" pid {self.pid}" if self.pid else ""
        query = f", last query: {self.query}" if self.query else ""
        there = f" on standby {self.standby}" if self.standby else ""
        there = f" on worker {self.worker}" if self.worker else there
        return f"{self.kind.value}{pid} ({self.who}){there} holds {self.mode} on {self.relation}{since}{query}"

    @property
    def with_way_out(self) -> str:
        """Say who it is, and what a person can do about it."""
        return f"{self}; to make room: {self.way_out}"

    @property
    def way_out(self) -> str:
        """What a person can do about this blocker."""
        match self.kind:
            case BlockerKind.AUTOVACUUM | BlockerKind.WRAPAROUND | BlockerKind.DUMP:
                cancel = "" if self.pid is None else f", or SELECT pg_cancel_backend({self.pid})"
                return f"wait until it ends{cancel}"
            case BlockerKind.PREPARED:
                return f"COMMIT PREPARED or ROLLBACK PREPARED '{self.who}'"
            case BlockerKind.STANDBY:
                return "wait, or see there what keeps it: SELECT pg_is_wal_replay_paused(), a long query"
            case _:
                there = f" on {self.standby}" if self.standby else ""
                return f"end its transaction, or SELECT pg_terminate_backend({self.pid}){there}"


# One row per granted lock of another session that conflicts with a wanted (relation, mode).
HOLDERS = text(
    """
    SELECT DISTINCT ON (l.virtualtransaction, c.oid)
           l.virtualtransaction AS transaction, l.pid, l.mode, c.relname AS relation,
           -- To a role without pg_read_all_stats the type is NULL, but only the server's own have no user.
           CASE WHEN a.pid IS NOT NULL AND a.usesysid IS NULL THEN 'autovacuum worker'
                ELSE a.backend_type END AS backend_type,
           a.state, coalesce(a.xact_start, p.prepared) AS since, nullif(a.query, '') AS query,
           a.query LIKE 'autovacuum:%(to prevent wraparound)' AS wraparound,
           coalesce(a.application_name, '') AS application, coalesce(a.usename, '') AS role,
           p.gid AS prepared
    FROM unnest(CAST(:schemas AS text[]), CAST(:names AS text[]), CAST(:modes AS text[]))
           AS wanted (schema, name, mode)
    JOIN pg_namespace n ON n.nspname = wanted.schema
    JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = wanted.name
    JOIN pg_locks l ON l.locktype = 'relation' AND l.relation = c.oid AND l.mode = wanted.mode
    LEFT JOIN pg_stat_activity a ON a.pid = l.pid
    -- A prepared transaction has no process; among the locks of its virtual transaction is that on its own id.
    LEFT JOIN pg_locks x ON l.pid IS NULL AND x.pid IS NULL AND x.locktype = 'transactionid'
                        AND x.virtualtransaction = l.virtualtransaction
    LEFT JOIN pg_prepared_xacts p ON p.transaction = x.transactionid
    WHERE l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    ORDER BY l.virtualtransaction, c.oid, l.mode
    """
)


ROW_MODES = (LockMode.ROW_EXCLUSIVE.in_catalog, LockMode.ROW_SHARE.in_catalog)


def holders(
    connection: Connection, question: TextClause, *, locks: Iterable[Lock]
) -> Sequence[Row[Any]]:
    """Query who holds what conflicts with these locks; gives no row without a lock."""
    wanted = [
        (lock.relation.schema, lock.relation.name, mode.in_catalog)
        for lock in locks
        for mode in LockMode
        if lock.mode.conflicts_with(mode)
    ]
    if not wanted:
        return []
    schemas, names, modes = (list(column) for column in zip(*wanted, strict=True))
    parameters = {"schemas": schemas, "names": names, "modes": modes}
    return connection.execute(question, parameters).all()


def blockers_of(connection: Connection, locks: Iterable[Lock]) -> tuple[Blocker, ...]:
    """Find the sessions that hold what conflicts with these locks right now."""
    return tuple(
        Blocker(
            kind=blocker_kind(
                row.backend_type, row.state, row.application, row.wraparound, row.prepared
            ),
            transaction=row.transaction,
            pid=row.pid,
            who=row.prepared or ", ".join(part for part in (row.role, row.application) if part),
            relation=row.relation,
            mode=row.mode,
            since=row.since,
            query=shown_query(row.query),
        )
        for row in holders(connection, HOLDERS, locks=locks)
    )


def row_holders(
    connection: Connection, table: QualifiedName, *, at_least: timedelta
) -> tuple[Blocker, ...]:
    """Find transactions that have held rows of a table for this long; the server does not tell which rows."""
    found = blockers_of(connection, (Lock(mode=LockMode.EXCLUSIVE, relation=table),))
    now = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    return tuple(
        each
        for each in found
        if each.mode in ROW_MODES and each.since is not None and now - each.since >= at_least
    )


def blocker_kind(
    backend_type: str | None,
    state: str | None,
    application: str,
    wraparound: bool | None,
    prepared: str | None,
) -> BlockerKind:
    """Give the kind of a session, from what pg_stat_activity says of it."""
    if prepared:
        return BlockerKind.PREPARED
    if backend_type == "autovacuum worker":
        return BlockerKind.WRAPAROUND if wraparound else BlockerKind.AUTOVACUUM
    if application == "pg_dump":
        return BlockerKind.DUMP
    if state and state.startswith("idle in transaction"):
        return BlockerKind.IDLE_IN_TRANSACTION
    return BlockerKind.SESSION
