"""Watches statements from another session and thread: how far each is, and whom it waits for.

A step that runs without lock_timeout is reported every two seconds, and ended when others have kept it waiting until
the budget for locks is spent. Of what nobody else watches (what an author reads, Alembic's own looks, other verbs) only
who is waited for is named: a read takes no lock that others wait behind, so it may wait, but not in silence. Only
statements of the thread that asks are seen, so those of an application around it are not.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from time import monotonic
from typing import Any

from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from holdfast.errors.locks import WaitedTooLong
from holdfast.errors.sqlstate import QUERY_CANCELED, sqlstate
from holdfast.execute.progress import Report, StepWatched
from holdfast.execute.session import MigrationSession, OwnEngine, second_session
from holdfast.observe.database import is_citus
from holdfast.observe.pooler import announced_pid
from holdfast.observe.watched_step import Watched, look_at_session, waits_for

log = logging.getLogger(__name__)

INTERVAL = timedelta(seconds=2)  # between two looks at a step
WAITS = timedelta(milliseconds=500)  # until who is waited for is named
LOOK_EVERY = timedelta(milliseconds=250)
# Cast: Citus has another one, of a bigint.
CANCEL = text("SELECT pg_cancel_backend(CAST(:pid AS integer))")

Name = Callable[[tuple[str, ...]], None]


class _Watch:
    """The watching thread, and what it has found out."""

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
                has_workers = self.session.is_citus
                if seen := look_at_session(connection, self.pid, is_citus=has_workers):
                    self.report(StepWatched(step=self.step, seen=seen))
                    self._give_up_in_time(connection, seen)
                self.ended.wait(INTERVAL.total_seconds())

    def _give_up_in_time(self, connection: Connection, seen: Watched) -> None:
        """Cancel a wait that lasts too long: the other side may wait for us, unseen by the server."""
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
    """Log a failure to watch: it must not stop what is watched."""

    def run() -> None:
        try:
            _beside(watch, is_async=is_async)
        except (DBAPIError, OSError) as error:
            log.warning("nobody looks how far the step is: %s", str(error).partition("\n")[0])
            log.debug("the watcher's error", exc_info=True)

    return run


def warn(who: tuple[str, ...]) -> None:
    """Warn the person at the command line, or the reader of the log."""
    log.warning("waiting for %s", "; ".join(who))


@contextmanager
def naming_blockers(name: Name = warn, *, with_own: bool = True) -> Iterator["StatementsOfThread"]:
    """Name, in the block, whoever keeps a statement of this thread waiting for half a second.

    Without those of our own sessions where a run watches them itself. Gives what it has seen of the statements.
    """
    statements = StatementsOfThread(name=name, with_own=with_own)
    events = (
        ("before_cursor_execute", statements.begins),
        ("after_cursor_execute", statements.ends),
        ("handle_error", statements.fails),
    )
    for kind, listener in events:
        event.listen(Engine, kind, listener)
    thread = threading.Thread(target=statements.watch, name="who is waited for", daemon=True)
    thread.start()
    try:
        yield statements
    finally:
        for kind, listener in events:
            event.remove(Engine, kind, listener)
        statements.closed.set()
        thread.join()


class _UnderWay:
    """A statement that was sent and has not ended, and the connection of the user's engine to ask beside."""

    __slots__ = ("beside", "driver", "since")

    def __init__(self, *, driver: Any, since: float, beside: Connection) -> None:
        self.driver = driver  # its connection
        self.since = since
        self.beside = beside


class StatementsOfThread:
    """The statements that one thread sends, one after the other."""

    failed_after = timedelta()  # how long the last one was under way that has ended with an error

    def __init__(self, *, name: Name, with_own: bool) -> None:
        self.name, self.with_own = name, with_own
        self.closed = threading.Event()
        self._thread = threading.get_ident()
        self._users: Connection | None = None
        # Our own statements are sent within one of the user's.
        self._of_user: _UnderWay | None = None
        self._own: _UnderWay | None = None
        self._began: float | None = None  # the statement that was sent last

    def begins(self, connection: Connection, *_: Any) -> None:
        """Note that a statement is sent."""
        if threading.get_ident() != self._thread:
            return
        is_own = isinstance(connection.engine, OwnEngine)
        self._began = monotonic()
        if not is_own:
            self._users = connection
        if self._users is None or (is_own and not self.with_own):
            return
        driver = connection.connection.driver_connection
        under_way = _UnderWay(driver=driver, since=monotonic(), beside=self._users)
        if is_own:
            self._own = under_way
        else:
            self._of_user = under_way

    def ends(self, connection: Connection, *_: Any) -> None:
        """Note that a statement has ended."""
        if threading.get_ident() != self._thread:
            return
        if isinstance(connection.engine, OwnEngine):
            self._own = None
        else:
            self._of_user = None

    def fails(self, context: ExceptionContext) -> None:
        """Note that a statement has ended with an error, and after how long."""
        if context.connection is None or threading.get_ident() != self._thread:
            return
        if self._began is not None:
            self.failed_after = timedelta(seconds=monotonic() - self._began)
        self.ends(context.connection)

    @property
    def under_way(self) -> _UnderWay | None:
        """Give the author's statement that has not ended, or else ours."""
        return self._of_user or self._own

    def watch(self) -> None:
        """Watch, until closed, whom a statement waits for that does not end."""
        while not self.closed.wait(LOOK_EVERY.total_seconds()):
            seen = self.under_way
            if seen is None or monotonic() - seen.since < WAITS.total_seconds():
                continue
            try:
                _beside(partial(self._name, seen), is_async=seen.beside.dialect.is_async)
            except (SQLAlchemyError, OSError):
                log.debug("nobody looks whom a statement waits for", exc_info=True)
                return

    def _name(self, seen: _UnderWay) -> None:
        named: tuple[str, ...] = ()
        pid = announced_pid(seen.driver)
        if pid is None:
            return
        with second_session(seen.beside) as connection:
            has_workers = is_citus(connection)
            while self.under_way is seen and not self.closed.is_set():
                who = waits_for(connection, pid, is_citus=has_workers)
                if who and who != named:
                    self.name(who)
                    named = who
                self.closed.wait(LOOK_EVERY.total_seconds())


def _beside(look: Callable[[], None], *, is_async: bool) -> None:
    """Watch in a thread without an event loop, as the driver may need one of its own."""
    if is_async:
        asyncio.run(_in_greenlet(look))
    else:
        look()


async def _in_greenlet(look: Callable[[], None]) -> None:
    from sqlalchemy.util.concurrency import greenlet_spawn

    await greenlet_spawn(look)
