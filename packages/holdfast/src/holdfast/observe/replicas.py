"""Reads how far standbys, archiver and slots are behind, and the estimated rows of a table."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, text

# One row: the longest replay lag of the standbys that this role may see, NULL where there is none; how many it may
# not see; its name.
LAG = text(
    """
    SELECT coalesce(max(replay_lag), interval '0') AS lag, count(*) FILTER (WHERE state IS NULL) AS hidden,
           current_user::text AS role
    FROM pg_stat_replication
    """
)

# One row: bytes of WAL between the present and the last segment that was archived; 0 where none is archived.
ARCHIVER = text(
    """
    WITH segment AS (SELECT pg_size_bytes(current_setting('wal_segment_size')) AS bytes),
         names AS (SELECT last_archived_wal AS archived, pg_walfile_name(pg_current_wal_lsn()) AS present
                   FROM pg_stat_archiver
                   WHERE current_setting('archive_mode') <> 'off' AND last_archived_wal ~ '^[0-9A-F]{24}$')
    SELECT greatest(0, (('x' || substr(present, 9, 8))::bit(32)::bigint
                        - ('x' || substr(archived, 9, 8))::bit(32)::bigint) * 4294967296
                     + (('x' || substr(present, 17, 8))::bit(32)::bigint
                        - ('x' || substr(archived, 17, 8))::bit(32)::bigint - 1) * bytes)::bigint
    FROM names, segment
    """
)
# At most one row: the slot that keeps the most WAL, and how much one may keep before the server gives it up (-1: any).
SLOT = text(
    """
    SELECT slot_name::text AS name, active AS is_active,
           pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint AS held,
           (SELECT setting::bigint FROM pg_settings WHERE name = 'max_slot_wal_keep_size') * 1048576 AS allowed
    FROM pg_replication_slots WHERE restart_lsn IS NOT NULL AND wal_status <> 'lost' ORDER BY held DESC LIMIT 1
    """
)
# At most one row: who vacuums the table, an autovacuum or somebody else.
VACUUM = text(
    """
    SELECT pid FROM pg_stat_progress_vacuum
    WHERE relid = to_regclass(:table) AND pid <> pg_backend_pid() LIMIT 1
    """
)


def archiver_lag(connection: Connection) -> int:
    """Give the bytes of WAL that are written and not archived yet."""
    return int(connection.execute(ARCHIVER).scalar() or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldingSlot:
    """The replication slot that retains the most WAL."""

    name: str
    is_active: bool  # somebody reads from it
    held: int  # bytes
    allowed: int | None  # bytes, before the server invalidates it; None: no limit

    def is_over(self, budget: int) -> bool:
        """Whether it retains more than a budget of bytes, or more than half of what the server allows it."""
        return self.held > (budget if self.allowed is None else min(budget, self.allowed // 2))


def holding_slot(connection: Connection) -> HoldingSlot | None:
    """Find the slot that retains the most WAL; an invalid one retains none."""
    row = connection.execute(SLOT).one_or_none()
    if row is None:
        return None
    allowed = row.allowed if row.allowed >= 0 else None
    return HoldingSlot(name=row.name, is_active=row.is_active, held=row.held, allowed=allowed)


def vacuum_of(connection: Connection, table: str) -> int | None:
    """Give the process that vacuums a table."""
    pid: int | None = connection.execute(VACUUM, {"table": table}).scalar()
    return pid


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaLag:
    """How far the standbys are behind, as far as this role may see."""

    lag: timedelta  # of the slowest; zero where there is none
    hidden: int  # standbys of which the role sees nothing
    role: str


def replica_lag(connection: Connection) -> ReplicaLag:
    """Give the lag of the slowest standby, and how many are hidden from this role."""
    row = connection.execute(LAG).one()
    return ReplicaLag(lag=row.lag, hidden=row.hidden, role=row.role)


def estimated_rows(connection: Connection, table: str) -> int:
    """Give the planner's estimate of a table's rows."""
    estimate = text(
        "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = to_regclass(:table)"
    )
    return int(connection.execute(estimate, {"table": table}).scalar() or 0)
