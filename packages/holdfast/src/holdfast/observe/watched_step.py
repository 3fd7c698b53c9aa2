"""Watches a build or validation from another session: how far it is, and whom it waits for."""

from typing import Any

from sqlalchemy import Connection, text

from holdfast.errors.light_dataclass import light_dataclass
from holdfast.observe.shown_query import shown_query

# At most one row: the phase of the command that the session `pid` runs, and how much of it is done.
PROGRESS = text(
    """
    SELECT coalesce(p.phase, a.wait_event_type || ': ' || a.wait_event, a.state) AS phase,
           CASE WHEN p.blocks_total > 0 THEN p.blocks_done::float / p.blocks_total END AS done
    FROM pg_stat_activity a LEFT JOIN pg_stat_progress_create_index p USING (pid)
    WHERE a.pid = :pid
    """
)
# One row per session or prepared transaction that keeps the session `pid` waiting.
WAITS_FOR = text(
    """
    SELECT b.pid, b.usename AS role, b.application_name AS application, b.state, b.xact_start AS since,
           nullif(b.query, '') AS query, NULL AS prepared
    FROM pg_stat_activity b WHERE b.pid = ANY (pg_blocking_pids(:pid))
    UNION ALL  -- which have no process: one of these
    SELECT NULL, owner, NULL, NULL, prepared, NULL, gid
    FROM pg_prepared_xacts
    WHERE database = current_database() AND 0 = ANY (pg_blocking_pids(:pid))
    """
)


# The same on the workers of a Citus cluster: for whom a statement of the session waits there.
WAITS_FOR_ON_WORKERS = text(
    """
    SELECT DISTINCT b.global_pid AS pid, b.usename AS role, b.application_name AS application, b.state,
           b.xact_start AS since, nullif(b.query, '') AS query, NULL AS prepared
    FROM citus_lock_waits w JOIN citus_stat_activity b ON b.global_pid = w.blocking_gpid AND NOT b.is_worker_query
    WHERE w.waiting_gpid = citus_calculate_gpid(
            (SELECT nodeid FROM pg_dist_node WHERE groupid = 0), CAST(:pid AS integer))
      AND NOT b.pid = ANY (pg_blocking_pids(:pid))
    """
)


@light_dataclass
class Watched:
    """The progress of a long step at one moment."""

    phase: str
    done: float | None  # share of the blocks, 0 to 1, where the server tells
    waits_for: tuple[str, ...]


def look_at_session(connection: Connection, pid: int, *, is_citus: bool = False) -> Watched | None:
    """Give the state of the session `pid`; None when it has ended. On Citus the workers are asked, too."""
    row = connection.execute(PROGRESS, {"pid": pid}).one_or_none()
    if row is None:
        return None
    who = waits_for(connection, pid, is_citus=is_citus)
    return Watched(phase=row.phase or "", done=row.done, waits_for=who)


def waits_for(connection: Connection, pid: int, *, is_citus: bool = False) -> tuple[str, ...]:
    """Say who keeps the session `pid` waiting: state, application, since when, last query, and how to end it."""
    queries = (WAITS_FOR, WAITS_FOR_ON_WORKERS) if is_citus else (WAITS_FOR,)
    return tuple(
        _described(row) for query in queries for row in connection.execute(query, {"pid": pid})
    )


def _described(row: Any) -> str:
    since = f" since {row.since:%H:%M:%S}" if row.since else ""
    if row.prepared:
        return (
            f"prepared transaction {row.prepared}{since}; to make room: COMMIT PREPARED or ROLLBACK PREPARED"
            f" '{row.prepared}'"
        )
    who = ", ".join(part for part in (row.role, row.application) if part)
    query = shown_query(row.query)
    return (
        f"pid {row.pid} ({who}) {row.state or 'of another role'}{since}"
        f"{f', last query: {query}' if query else ''}; to make room: SELECT pg_terminate_backend({row.pid})"
    )
