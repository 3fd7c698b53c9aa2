"""Watches a step that runs without lock_timeout, from a session of its own in a thread of its own."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from holdfast.observe.watched_step import look_at
from holdfast.progress import Report, StepWatched
from holdfast.run.session import MigrationSession, second_session

log = logging.getLogger(__name__)

INTERVAL = timedelta(seconds=2)


@contextmanager
def watching(session: MigrationSession, *, step: str, report: Report) -> Iterator[None]:
    """Report every two seconds how far the session's statement is and whom it waits for."""
    pid = session.execute(text("SELECT pg_backend_pid()")).scalar_one()
    if not session.in_autocommit():
        session.commit()
    ended = threading.Event()

    def watch() -> None:
        if ended.wait(INTERVAL.total_seconds()):
            return  # most steps are over before a connection is worth its price
        with second_session(session.migration) as connection:
            while not ended.is_set():
                if seen := look_at(connection, pid):
                    report(StepWatched(step=step, seen=seen))
                ended.wait(INTERVAL.total_seconds())

    thread = threading.Thread(
        target=_guarded(watch, is_async=session.dialect.is_async), daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _guarded(watch: Callable[[], None], *, is_async: bool) -> Callable[[], None]:
    """A watcher that cannot connect must not stop what it watches."""

    def run() -> None:
        try:
            if is_async:
                asyncio.run(_in_greenlet(watch))
            else:
                watch()
        except (DBAPIError, OSError):
            log.warning("the watcher could not look at the step", exc_info=True)

    return run


async def _in_greenlet(watch: Callable[[], None]) -> None:
    from sqlalchemy.util.concurrency import greenlet_spawn

    await greenlet_spawn(watch)
