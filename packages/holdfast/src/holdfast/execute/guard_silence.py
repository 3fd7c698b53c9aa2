"""Ends a unit of the migration whose guard does not respond, watching the guard on a connection of its own.

The loop of the guard begins a transaction in each turn, so the start of its transaction tells when it was last alive,
also where its process is stopped or gets no processor. Looked at only in units that last: a short one costs nothing,
and the connection is closed with its unit. The manual: pg_stat_activity (xact_start), Server Signaling Functions.
"""

import asyncio
import logging
import threading
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, text

from holdfast.execute.session import MigrationSession, second_session

log = logging.getLogger(__name__)

FIRST_LOOK = timedelta(milliseconds=50)  # most units are over by then
EVERY = timedelta(milliseconds=20)
SILENT = timedelta(milliseconds=100)  # while somebody waits: a turn takes 2 to 15 ms
SILENT_FOR_NOBODY = timedelta(milliseconds=300)  # a machine with too much to do is no reason
CANCELS = 10  # a body may catch them

# No row where the guard, or our backend, has ended, or this role may not see it; otherwise whether it has been silent
# for too long.
LOOK = text(
    """
    SELECT CASE WHEN silent < :silent THEN false WHEN silent > :for_nobody THEN true
                ELSE pg_blocking_pids(:ours) <> '{}' OR EXISTS (
                  SELECT FROM pg_stat_get_backend_idset() AS id
                  WHERE :ours = ANY (pg_blocking_pids(pg_stat_get_backend_pid(id)))) END AS is_silent
    FROM (SELECT clock_timestamp() - greatest(coalesce(xact_start, state_change), to_timestamp(:since)) AS silent
          FROM pg_stat_get_activity(:guard) WHERE state IS NOT NULL) AS guard, pg_stat_get_activity(:ours)
    """
)
# One row while our backend is there. Between two statements for a moment, or in no transaction, it is left alone.
END = text(
    """
    SELECT is_idle, CASE WHEN state = 'idle' OR is_idle AND is_short THEN NULL
                         WHEN is_idle OR :terminate THEN pg_terminate_backend(pid)
                         ELSE pg_cancel_backend(pid) END AS is_ended
    FROM (SELECT pid, state, state LIKE 'idle in transaction%' AS is_idle,
                 state_change > clock_timestamp() - interval '10 ms' AS is_short
          FROM pg_stat_get_activity(:ours)) AS backend
    """
)
END_GUARD = text("SELECT pg_terminate_backend(CAST(:guard AS integer))")


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardedUnit:
    """Which backend is watched by which guard, and since when, by the server's clock."""

    ours: int
    guard: int
    since: float  # seconds of its epoch


class SilenceWatch:
    """Watches the guard of one unit after the other, and ends the unit if its guard does not respond."""

    def __init__(self, session: MigrationSession) -> None:
        self.session = session
        self._changed = threading.Condition()
        # Under the condition's lock: whoever ends a unit must not hit what comes behind it.
        self._unit: GuardedUnit | None = None
        self._has_ended = self._has_terminated = self._is_closed = False
        work = self._in_event_loop if session.dialect.is_async else self._serve
        self._thread = threading.Thread(target=work, name="holdfast guard's guard", daemon=True)
        self._thread.start()

    def begin(self, unit: GuardedUnit) -> None:
        """Watch this unit's guard from now on."""
        with self._changed:
            self._unit, self._has_ended, self._has_terminated = unit, False, False
            self._changed.notify()

    @property
    def has_ended(self) -> bool:
        """Whether the current unit was ended: it must not be committed."""
        return self._has_ended

    @property
    def has_terminated(self) -> bool:
        """Whether the unit's connection was terminated, too."""
        return self._has_terminated

    def end(self) -> None:
        """Stop watching. Once this returns, nothing that comes later can be ended."""
        with self._changed:
            self._unit = None
            self._changed.notify()

    def close(self) -> None:
        """End the thread. A second call does nothing."""
        with self._changed:
            self._unit, self._is_closed = None, True
            self._changed.notify()

    def _serve(self) -> None:
        while (unit := self._next()) is not None:
            if not self._is_still(unit, within=FIRST_LOOK):
                continue
            try:
                with second_session(self.session.migration) as connection:
                    self._watch(connection, unit)
            except Exception as error:  # noqa: BLE001  # of a driver, whatever it is: a thread has nobody to raise it to
                problem = str(error).partition("\n")[0]
                log.warning("nobody notices where the guard is silent: %s", problem)
                self._is_still(unit, within=None)

    def _next(self) -> GuardedUnit | None:
        with self._changed:
            self._changed.wait_for(lambda: self._unit is not None or self._is_closed)
            return self._unit

    def _is_still(self, unit: GuardedUnit, *, within: timedelta | None) -> bool:
        """Wait for so long; give True if the same unit was under way all the time."""
        seconds = None if within is None else within.total_seconds()
        with self._changed:
            return not self._changed.wait_for(lambda: self._unit is not unit, seconds)

    def _watch(self, connection: Connection, unit: GuardedUnit) -> None:
        values = {
            "ours": unit.ours,
            "guard": unit.guard,
            "since": unit.since,
            "silent": SILENT,
            "for_nobody": SILENT_FOR_NOBODY,
        }
        while not connection.execute(LOOK, values).scalar_one_or_none():
            if not self._is_still(unit, within=EVERY):
                return
        ends = 0
        while self._end(connection, unit, terminate=ends > CANCELS):
            ends += 1
            if not self._is_still(unit, within=EVERY):
                return

    def _end(self, connection: Connection, unit: GuardedUnit, *, terminate: bool) -> bool:
        """End what the unit executes, and its guard for good; give False if the unit is over."""
        with self._changed:
            if self._unit is not unit:
                return False
            values = {"ours": unit.ours, "terminate": terminate}
            row = connection.execute(END, values).one_or_none()
            if row is None:
                return False
            self._has_ended = True
            connection.execute(END_GUARD, {"guard": unit.guard})
            self._has_terminated |= bool(row.is_ended and (row.is_idle or terminate))
            return True

    def _in_event_loop(self) -> None:
        from sqlalchemy.util.concurrency import greenlet_spawn

        async def serve() -> None:
            await greenlet_spawn(self._serve)

        asyncio.run(serve())
