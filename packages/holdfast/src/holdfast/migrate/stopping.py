"""Stops a run that was asked to stop: while it waits and, if it must, within a statement.

`should_stop` is asked between steps and between two tries for a lock; `must_stop` by a thread of its own, which
cancels what the migration's session executes: with any driver, and also where Python itself waits in C.
"""

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from holdfast.errors.unfinished import StoppedWhileWaiting
from holdfast.execute.progress import (
    BackfillPaused,
    Event,
    LockBusy,
    Report,
    UsersWaited,
    WaitingForLeader,
)
from holdfast.execute.session import MigrationSession, second_session
from holdfast.observe.pooler import announced_pid

log = logging.getLogger(__name__)

LOOK_EVERY = 0.2  # seconds
PID = text("SELECT pg_backend_pid()")
# One row if the session executes something; what has only just begun, such as the record of the failure, may end.
CANCEL = text(
    """
    SELECT pg_cancel_backend(pid) FROM pg_stat_activity
    WHERE pid = :pid AND state = 'active' AND query_start < clock_timestamp() - interval '0.2 s'
    """
)


def never() -> bool:
    """Never ask for a stop: the `should_stop` of programs in which nobody stops a run."""
    return False


def stopping_while_waiting(report: Report, should_stop: Callable[[], bool]) -> Report:
    """Make a report that ends a wait for a lock or another migrator: nothing is uncommitted then."""

    def tell(event: Event) -> None:
        report(event)
        match event:
            case WaitingForLeader(holder=holder):
                what = f"another migrator, {holder}"
            case LockBusy(what=what) | UsersWaited(what=what) | BackfillPaused(why=what):
                pass
            case _:
                return
        if should_stop():
            raise StoppedWhileWaiting(what_for=what)

    return tell


class Canceller:
    """Cancels the session's statement once `must_stop` is true; `has_cancelled` says whether it did."""

    def __init__(self, session: MigrationSession, must_stop: Callable[[], bool]) -> None:
        self.session, self.must_stop = session, must_stop
        self.has_cancelled = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        if must_stop is not never:
            self._pid = announced_pid(session.migration.connection.driver_connection)
            if self._pid is None:
                self._pid = session.execute(PID).scalar_one()
                session.commit()
            self._thread.start()

    def close(self) -> None:
        """Stop listening, as the run has ended. A second call does nothing."""
        self._ended.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(LOOK_EVERY):
            if self.must_stop():
                break
        else:
            return
        try:
            if self.session.dialect.is_async:
                asyncio.run(_in_greenlet(self._cancel))
            else:
                self._cancel()
        except (DBAPIError, OSError):
            log.warning("the statement under way could not be cancelled", exc_info=True)

    def _cancel(self) -> None:
        if (
            self.session.is_pooled
        ):  # the process may serve somebody else by now: the pooler knows whose it is
            self.has_cancelled = True
            driver: Any = self.session.migration.connection.driver_connection
            driver.cancel()
            return
        with second_session(self.session.migration, name=self.session.name) as connection:
            while not self._ended.wait(LOOK_EVERY):
                if connection.execute(CANCEL, {"pid": self._pid}).scalar():
                    self.has_cancelled = True


async def _in_greenlet(work: Callable[[], None]) -> None:
    from sqlalchemy.util.concurrency import greenlet_spawn

    await greenlet_spawn(work)
