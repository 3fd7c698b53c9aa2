"""How far the standbys are behind, and how many rows a table has by estimate."""

from datetime import timedelta

from sqlalchemy import Connection, text

# One row: the longest replay lag of the standbys that this role may see; NULL where there is none.
LAG = text("SELECT max(replay_lag) FROM pg_stat_replication")

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
# At most one row: who vacuums the table, an autovacuum or somebody else.
VACUUM = text(
    """
    SELECT pid FROM pg_stat_progress_vacuum
    WHERE relid = to_regclass(:table) AND pid <> pg_backend_pid() LIMIT 1
    """
)


def archiver_lag(connection: Connection) -> int:
    """Bytes of WAL that are written and not archived yet."""
    return int(connection.execute(ARCHIVER).scalar() or 0)


def vacuum_of(connection: Connection, table: str) -> int | None:
    """The process that vacuums a table."""
    pid: int | None = connection.execute(VACUUM, {"table": table}).scalar()
    return pid


def replay_lag(connection: Connection) -> timedelta:
    """The lag of the slowest standby; zero where there is none."""
    lag: timedelta | None = connection.execute(LAG).scalar_one()
    return lag or timedelta()


def estimated_rows(connection: Connection, table: str) -> int:
    """The planner's estimate of a table's rows."""
    estimate = text(
        "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = to_regclass(:table)"
    )
    return int(connection.execute(estimate, {"table": table}).scalar() or 0)
