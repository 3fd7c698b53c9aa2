"""Answers within a time limit, whatever happens, whether a database would answer a request now.

The pool's own deadline covers the way to a connection. A server that is silent on an open one (frozen, or behind a
balancer that keeps the client's side) is seen by nothing but a clock: then this connection is ended, and no other.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from holdfast.engine.pool.hang_up import hang_up
from holdfast.engine.pool.places import Figures
from holdfast.errors.durations import in_words
from holdfast.observe.migration_progress import migration_progress

# Beyond the pool's timeout, so that the pool's own answer, which says more, comes first.
GRACE = timedelta(milliseconds=250)


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The answer for /readyz: whether a request would get an answer now, and how the pool is doing."""

    is_ready: bool
    problem: str | None
    pool: Figures


class HealthLook:
    """One check of a database; its connection can be closed from outside while the server is asked."""

    def __init__(self, *, has_started: bool) -> None:
        self.problem: str | None = None
        self._has_started = has_started
        self._lock = threading.Lock()
        self._is_over = False
        self._asked: Any = None

    def over(self, engine: Engine) -> None:
        """Check through the pool of an engine. Never raises."""
        try:
            with engine.connect() as connection:
                self.on(connection)
        except BaseException as error:  # noqa: BLE001  # in a thread of its own
            self.problem = _in_words(error)

    async def over_async(self, engine: AsyncEngine) -> None:
        """Check through the pool of an engine, in an event loop. Never raises."""
        try:
            async with engine.connect() as connection:
                await connection.run_sync(self.on)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is the problem
            self.problem = _in_words(error)

    def on(self, connection: Connection) -> None:
        """Ask the server, and leave nothing behind that returning the connection would have to wait for."""
        try:
            with self._asking(connection.connection.driver_connection):
                if self._has_started:
                    _select_one(connection)
                else:
                    progress = migration_progress(connection)
                    self.problem = f"starting: {progress or 'nobody migrates now'}"
                    connection.rollback()
        except BaseException:
            connection.invalidate()
            raise

    def give_up(self, limit: timedelta) -> str:
        """Stop waiting for the answer, and give what to report instead."""
        with self._lock:
            self._is_over = True
            if self._asked is not None:
                hang_up(self._asked)
        return f"no answer within {in_words(limit)}"

    @contextmanager
    def _asking(self, driver: Any) -> Iterator[None]:
        self._ask(driver)
        try:
            yield
        finally:
            self._ask(None)

    def _ask(self, driver: Any) -> None:
        with self._lock:
            self._asked = driver
            if self._is_over and driver is not None:
                hang_up(driver)


def look(engine: Engine, *, has_started: bool, within: timedelta) -> str | None:
    """Say what is wrong with a database, if anything; answers within the limit, or a moment after it."""
    look, limit, done = HealthLook(has_started=has_started), within + GRACE, threading.Event()
    context = copy_context()

    def work() -> None:
        context.run(look.over, engine)
        done.set()

    try:
        threading.Thread(target=work, name="health", daemon=True).start()
    except RuntimeError as error:  # no more threads
        return _in_words(error)
    if done.wait(limit.total_seconds()):
        return look.problem
    return look.give_up(limit)


async def look_async(engine: AsyncEngine, *, has_started: bool, within: timedelta) -> str | None:
    """Say what is wrong with a database, as `look` does, without waiting for psycopg to cancel its query."""
    look, limit = HealthLook(has_started=has_started), within + GRACE
    task = asyncio.create_task(look.over_async(engine))
    try:
        done, _ = await asyncio.wait({task}, timeout=limit.total_seconds())
    except asyncio.CancelledError:
        look.give_up(limit)
        raise
    return look.problem if done else look.give_up(limit)


def _select_one(connection: Connection) -> None:
    # Not through SQLAlchemy, which would invalidate the whole pool when this connection is closed.
    pooled = connection.connection
    cursor = pooled.cursor()
    cursor.execute("SELECT 1")
    cursor.fetchone()
    cursor.close()
    pooled.rollback()


def _in_words(error: BaseException) -> str:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return str(cause).strip() or type(cause).__name__
