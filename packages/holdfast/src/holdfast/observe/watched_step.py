"""How far a build or a validation is, and whom it waits for, seen from another session."""

from dataclasses import dataclass

from sqlalchemy import Connection, text

# At most one row: the phase of the command that the session `pid` runs, and how much of it is done.
PROGRESS = text(
    """
    SELECT coalesce(p.phase, a.wait_event_type || ': ' || a.wait_event, a.state) AS phase,
           CASE WHEN p.blocks_total > 0 THEN p.blocks_done::float / p.blocks_total END AS done,
           ARRAY(SELECT format('pid %s (%s, %s) %s since %s', b.pid, b.usename, b.application_name,
                               b.state, to_char(b.xact_start, 'HH24:MI:SS'))
                 FROM pg_stat_activity b WHERE b.pid = ANY (pg_blocking_pids(a.pid))
                 UNION ALL  -- which have no process: one of these
                 SELECT format('prepared transaction %s since %s', gid, to_char(prepared, 'HH24:MI:SS'))
                 FROM pg_prepared_xacts
                 WHERE database = current_database() AND 0 = ANY (pg_blocking_pids(a.pid))) AS waits_for
    FROM pg_stat_activity a LEFT JOIN pg_stat_progress_create_index p USING (pid)
    WHERE a.pid = :pid
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """One look at a step that takes long."""

    phase: str
    done: float | None  # share of the blocks, 0 to 1, where the server tells
    waits_for: tuple[str, ...]


def look_at_session(connection: Connection, pid: int) -> Watched | None:
    """The state of the session `pid`; None when it has ended."""
    row = connection.execute(PROGRESS, {"pid": pid}).one_or_none()
    if row is None:
        return None
    return Watched(phase=row.phase or "", done=row.done, waits_for=tuple(row.waits_for))
