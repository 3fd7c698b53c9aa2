"""How far the standbys are behind, and how many rows a table has by estimate."""

from datetime import timedelta

from sqlalchemy import Connection, text

# One row: the longest replay lag of the standbys that this role may see; NULL where there is none.
LAG = text("SELECT max(replay_lag) FROM pg_stat_replication")


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
