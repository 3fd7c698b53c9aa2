"""Watches a step that runs without lock_timeout, from a session of its own in a thread of its own.

And ends it when others have kept it waiting until the budget for locks is spent.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from time import monotonic

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from holdfast.errors.migration import WaitedTooLong
from holdfast.errors.sqlstate import QUERY_CANCELED, sqlstate
from holdfast.execute.progress import Report, StepWatched
from holdfast.execute.session import MigrationSession, second_session
from holdfast.observe.watched_step import Watched, look_at_session

log = logging.getLogger(__name__)

INTERVAL = timedelta(seconds=2)
# Cast: Citus has another one, of a bigint.
CANCEL = text("SELECT pg_cancel_backend(CAST(:pid AS integer))")


class _Watch:
    """What the thread does, and what it has found out."""

    def __init__(
        self, session: MigrationSession, pid: int, *, step: str, patience: timedelta, report: Report
    ) -> None:
        self.session, self.pid, self.step, self.report = session, pid, step, report
        self.patience = patience
        self.ended = threading.Event()
        self.gave_up_on: tuple[str, ...] = ()
        self._waits_since: float | None = None

    def __call__(self) -> None:
        if self.ended.wait(INTERVAL.total_seconds()):
            return  # most steps are over before a connection is worth its price
        with second_session(self.session.migration, name=self.session.name) as connection:
            while not self.ended.is_set():
                is_citus = self.session.is_citus
                if seen := look_at_session(connection, self.pid, is_citus=is_citus):
                    self.report(StepWatched(step=self.step, seen=seen))
                    self._give_up_in_time(connection, seen)
                self.ended.wait(INTERVAL.total_seconds())

    def _give_up_in_time(self, connection: Connection, seen: Watched) -> None:
        """Whoever it waits for may wait for us, unseen by the server, or may have been forgotten."""
        if not seen.waits_for:
            self._waits_since = None
            return
        self._waits_since = self._waits_since or monotonic()
        if monotonic() - self._waits_since > self.patience.total_seconds() and not self.gave_up_on:
            self.gave_up_on = seen.waits_for
            connection.execute(CANCEL, {"pid": self.pid})


@contextmanager
def watching(
    session: MigrationSession, *, step: str, patience: timedelta, report: Report
) -> Iterator[None]:
    """Report every two seconds how far the session's statement is and whom it waits for.

    Raises WaitedTooLong when it has waited for others, without a break, for longer than `patience`.
    """
    pid = session.execute(text("SELECT pg_backend_pid()")).scalar_one()
    if not session.in_autocommit():
        session.commit()
    watch = _Watch(session, pid, step=step, patience=patience, report=report)
    thread = threading.Thread(
        target=_guarded(watch, is_async=session.dialect.is_async), daemon=True
    )
    thread.start()
    try:
        yield
    except DBAPIError as error:
        if watch.gave_up_on and sqlstate(error) == QUERY_CANCELED:
            raise WaitedTooLong(step=step, waited=patience, waits_for=watch.gave_up_on) from error
        raise
    finally:
        watch.ended.set()
        thread.join()


def _guarded(watch: Callable[[], None], *, is_async: bool) -> Callable[[], None]:
    """A watcher that cannot connect must not stop what it watches."""

    def run() -> None:
        try:
            if is_async:
                asyncio.run(_in_greenlet(watch))
            else:
                watch()
        except (DBAPIError, OSError) as error:
            log.warning("nobody looks how far the step is: %s", str(error).partition("\n")[0])
            log.debug("the watcher's error", exc_info=True)

    return run


async def _in_greenlet(watch: Callable[[], None]) -> None:
    from sqlalchemy.util.concurrency import greenlet_spawn

    await greenlet_spawn(watch)
