"""Names whom a statement waits for that nobody else watches: what an author reads, Alembic's own looks, other verbs.

A read takes no lock that others wait behind, so it may wait for whoever has its table locked; but not in silence.
Only statements of the thread that asks are seen, so those of an application around it are not.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import SQLAlchemyError

from holdfast.execute.session import OwnEngine, second_session
from holdfast.observe.database import is_citus
from holdfast.observe.pooler import announced_pid
from holdfast.observe.watched_step import waits_for

log = logging.getLogger(__name__)

WAITS = timedelta(milliseconds=500)
LOOK_EVERY = timedelta(milliseconds=250)

Name = Callable[[tuple[str, ...]], None]


def warn(who: tuple[str, ...]) -> None:
    """For whoever is at the command line, or reads the log."""
    log.warning("waiting for %s", "; ".join(who))


@contextmanager
def naming_who_is_waited_for(name: Name = warn, *, with_own: bool = True) -> Iterator[None]:
    """For the block: whoever keeps a statement of this thread waiting for half a second is named.

    Without those of our own sessions where a run watches them itself.
    """
    statements = _Statements(name=name, with_own=with_own)
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
        yield
    finally:
        for kind, listener in events:
            event.remove(Engine, kind, listener)
        statements.closed.set()
        thread.join()


@dataclass(frozen=True, slots=True, kw_only=True)
class _UnderWay:
    """A statement that was sent and has not ended, and the connection of the user's engine beside which to ask."""

    pid: int
    since: float
    beside: Connection


class _Statements:
    """What one thread sends, one statement after the other."""

    def __init__(self, *, name: Name, with_own: bool) -> None:
        self.name, self.with_own = name, with_own
        self.closed = threading.Event()
        self._thread = threading.get_ident()
        self._users: Connection | None = None
        # Inside of one statement of the user's, ours are sent.
        self._of_user: _UnderWay | None = None
        self._own: _UnderWay | None = None

    def begins(self, connection: Connection, *_: Any) -> None:
        if threading.get_ident() != self._thread:
            return
        is_own = isinstance(connection.engine, OwnEngine)
        if not is_own:
            self._users = connection
        if self._users is None or (is_own and not self.with_own):
            return
        pid = announced_pid(connection.connection.driver_connection)
        if pid is None:
            return
        under_way = _UnderWay(pid=pid, since=monotonic(), beside=self._users)
        if is_own:
            self._own = under_way
        else:
            self._of_user = under_way

    def ends(self, connection: Connection, *_: Any) -> None:
        if threading.get_ident() != self._thread:
            return
        if isinstance(connection.engine, OwnEngine):
            self._own = None
        else:
            self._of_user = None

    def fails(self, context: ExceptionContext) -> None:
        if context.connection is not None:
            self.ends(context.connection)

    @property
    def under_way(self) -> _UnderWay | None:
        return self._of_user or self._own

    def watch(self) -> None:
        while not self.closed.wait(LOOK_EVERY.total_seconds()):
            seen = self.under_way
            if seen is None or monotonic() - seen.since < WAITS.total_seconds():
                continue
            try:
                if seen.beside.dialect.is_async:
                    asyncio.run(self._in_greenlet(seen))
                else:
                    self._name(seen)
            except (SQLAlchemyError, OSError):
                log.debug("nobody looks whom a statement waits for", exc_info=True)
                return

    def _name(self, seen: _UnderWay) -> None:
        named: tuple[str, ...] = ()
        with second_session(seen.beside) as connection:
            has_workers = is_citus(connection)
            while self.under_way is seen and not self.closed.is_set():
                who = waits_for(connection, seen.pid, is_citus=has_workers)
                if who and who != named:
                    self.name(who)
                    named = who
                self.closed.wait(LOOK_EVERY.total_seconds())

    async def _in_greenlet(self, seen: _UnderWay) -> None:
        from sqlalchemy.util.concurrency import greenlet_spawn

        await greenlet_spawn(self._name, seen)
