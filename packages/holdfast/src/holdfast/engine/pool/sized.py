"""A SQLAlchemy pool with the contract of `PoolLimits`: `create_engine(poolclass=SizedPool, limits=...)`.

One deadline covers queueing, name resolution, all hosts, the handshake and the listeners of SQLAlchemy's `connect`
event; there are never more than `max` connections. A connection is looked at whenever it is handed out.
"""

import os
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self

from psycopg.pq import TransactionStatus
from sqlalchemy.pool import ConnectionPoolEntry, Pool, PoolProxiedConnection
from sqlalchemy.util.concurrency import greenlet_spawn

from holdfast.engine.pool.limits import PoolLimits
from holdfast.engine.pool.liveness import is_alive
from holdfast.engine.pool.metrics import POOL, PoolMetrics, global_metrics
from holdfast.engine.pool.opening import Opening
from holdfast.engine.pool.places import Figures, Grant, Place, Places, Request
from holdfast.engine.pool.reaper import Reaper
from holdfast.engine.pool.waiting import EventLoop, Threads, Waiting
from holdfast.errors.pool import ConnectionNotOpened, PoolExhausted

BIRTH = "holdfast.pool.birth"  # in ConnectionPoolEntry.info
JITTER = 0.1  # of the lifetime: connections opened together are not replaced together


@dataclass(frozen=True, slots=True, kw_only=True)
class Birth:
    """When and where a connection was opened."""

    pid: int
    at: float  # time.time(), as SQLAlchemy's own marks
    expires: float  # time.monotonic()


class _Sized(Pool):
    """Both pools; they differ in how they wait."""

    _new_waiting: Callable[[], Waiting]

    def __init__(
        self,
        creator: Any,
        limits: PoolLimits,  # not keyword-only: SQLAlchemy finds its pool's options by inspection
        name: str = "postgresql",
        metrics: PoolMetrics | None = None,
        **options: Any,
    ) -> None:
        self.limits, self.name = limits, name
        self._metrics = metrics or global_metrics()
        self._attributes = {POOL: name}
        self._is_disposed = False
        self._of_parent: list[object] = []
        super().__init__(creator, **options)
        self._begin_empty()
        self._metrics.watch(self)

    def prewarm(self) -> None:
        """Opens connections up to `min`, all at once; raises the error of one that failed."""
        self._leave_parent()
        self._opening.unattended(self.places.reserve(self.limits.min))

    def figures(self) -> Figures:
        """How the pool stands."""
        return self.places.figures()

    def status(self) -> str:
        """The figures, for SQLAlchemy's log."""
        return str(self.figures())

    def is_usable(self, record: ConnectionPoolEntry) -> bool:
        """Not too old, not given up with its generation, not ended by the server."""
        birth: Birth = record.info[BIRTH]
        return (
            time.monotonic() < birth.expires
            and birth.at > self._invalidate_time
            and record.driver_connection is not None
            and is_alive(record.driver_connection.pgconn)
        )

    def discard(self, record: ConnectionPoolEntry) -> None:
        """Close it and release its place."""
        try:
            record.close()
        finally:
            self.places.release()

    def recreate(self) -> Self:
        """The same, empty."""
        return type(self)(
            self._creator,
            limits=self.limits,
            name=self.name,
            metrics=self._metrics,
            pre_ping=self._pre_ping,
            recycle=self._recycle,
            echo=self.echo,
            logging_name=self._orig_logging_name,
            reset_on_return=self._reset_on_return,
            _dispatch=self.dispatch,
            dialect=self._dialect,
        )

    def dispose(self) -> None:
        """Closes what is idle now, and what is in use when it comes back."""
        self._is_disposed = True
        self._metrics.forget(self)
        self._reaper.stop()
        for record in self.places.take_idle(lambda _since, _record: True):
            self.discard(record)

    def _do_get(self) -> ConnectionPoolEntry:
        self._leave_parent()
        return self._get(self.places.take(), started=time.monotonic())

    def _get(self, grant: Grant | None, *, started: float) -> ConnectionPoolEntry:
        """With what was granted at once, if anything was; may wait."""
        record = self._place_or_connection(grant, started)
        if isinstance(record, Place):
            record = self._connect(started)
        return self._hand_out(record, started=started)

    def _hand_out(self, record: ConnectionPoolEntry, *, started: float) -> ConnectionPoolEntry:
        now = time.monotonic()
        self.places.used[record] = now
        self._metrics.wait_time.record(now - started, self._attributes)
        return record

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        now = time.monotonic()
        taken_at = self.places.used.pop(record, now)
        self._metrics.use_time.record(now - taken_at, self._attributes)
        if record.dbapi_connection is None:  # invalidated, detached or lost
            self.places.release()
        elif record.info[BIRTH].pid != os.getpid():
            self._of_parent.append(record)
        elif self._is_disposed:
            self.discard(record)
        else:
            self.places.give(record, now=now)
            self._reaper.plan()

    def _invalidate(
        self,
        connection: PoolProxiedConnection,
        exception: BaseException | None = None,
        _checkin: bool = True,
    ) -> None:
        super()._invalidate(connection, exception, _checkin)
        self._sweep()

    def _should_wrap_creator(self, creator: Any) -> Any:
        create = super()._should_wrap_creator(creator)

        def create_and_mark(record: ConnectionPoolEntry) -> Any:
            started, at = time.monotonic(), time.time()
            connection = create(record)
            now = time.monotonic()
            lifetime = self.limits.max_lifetime.total_seconds()
            expires = now + lifetime * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  # no secret
            record.info[BIRTH] = Birth(pid=os.getpid(), at=at, expires=expires)
            self._metrics.create_time.record(now - started, self._attributes)
            return connection

        return create_and_mark

    def _begin_empty(self) -> None:
        self._pid = os.getpid()
        self.places = Places(maximum=self.limits.max)
        self._waiting = self._new_waiting()
        self._reaper = Reaper(self, waiting=self._waiting)
        self._opening = Opening(
            create=self._create_connection,
            places=self.places,
            waiting=self._waiting,
            after_giving=self._reaper.plan,
        )

    def _leave_parent(self) -> None:
        """After a fork: the connections are the parent's, closing one here would end its session."""
        if os.getpid() != self._pid:
            self._of_parent.append(self.places)
            self._begin_empty()

    def _sweep(self) -> None:
        for record in self.places.take_idle(lambda _since, record: not self.is_usable(record)):
            self.discard(record)

    def _place_or_connection(self, grant: Grant | None, started: float) -> Grant:
        while True:
            grant = grant or self._queue(started)
            if isinstance(grant, Place) or self.is_usable(grant):
                return grant
            # One has ended: the others probably too, after a restart. They must not fail a request each.
            self.discard(grant)
            self._sweep()
            grant = self.places.take()

    def _queue(self, started: float) -> Grant:
        wake, wait = self._waiting.signal()
        request = Request(wake)
        grant = self.places.take_or_wait(request)
        if grant is not None:
            return grant
        try:
            wait(self._left(started))
        except BaseException:  # cancelled: what was granted meanwhile is for others
            self._give_back(self.places.withdraw(request))
            raise
        grant = self.places.withdraw(request)
        if grant is None:
            raise self._exhausted()
        return grant

    def _give_back(self, grant: Grant | None) -> None:
        if isinstance(grant, Place):
            self.places.release()
        elif grant is not None:
            self.places.give(grant, now=time.monotonic())

    def _connect(self, started: float) -> ConnectionPoolEntry:
        left = self._left(started)
        record = self._opening.before(left)
        if record is None:
            self._metrics.timeouts.add(1, self._attributes)
            raise ConnectionNotOpened(
                pool=self.name,
                timeout=self.limits.timeout,
                left=timedelta(seconds=left),
                last_failure=self._opening.last_failure,
            )
        return record

    def _exhausted(self) -> PoolExhausted:
        self._metrics.timeouts.add(1, self._attributes)
        figures, now = self.figures(), time.monotonic()
        oldest = min(list(self.places.used.values()), default=now)
        return PoolExhausted(
            pool=self.name,
            timeout=self.limits.timeout,
            maximum=figures.maximum,
            used=figures.used,
            connecting=figures.connecting,
            waiting=figures.waiting + 1,
            longest_use=timedelta(seconds=round(now - oldest, 3)),
            last_failure=self._opening.last_failure,
        )

    def _left(self, started: float) -> float:
        return max(0.0, started + self.limits.timeout.total_seconds() - time.monotonic())


class SizedPool(_Sized):
    """For `create_engine`."""

    _is_asyncio = False
    _new_waiting = Threads


class AsyncSizedPool(_Sized):
    """For `create_async_engine`."""

    _is_asyncio = True
    _new_waiting = EventLoop

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[Any]:
        """The driver's own connection, for statements that do without SQLAlchemy: a fraction of its checkout's cost.

        There are no events of SQLAlchemy, no reset, and errors are the driver's. However the block ends: a connection
        that it leaves as it was, out of any transaction, goes back into the pool; any other is closed.
        """
        record = await self._take()
        connection: Any = record.driver_connection
        was_autocommit = connection.autocommit
        try:
            yield connection
        finally:
            is_as_it_was = (
                connection.pgconn.transaction_status == TransactionStatus.IDLE
                and connection.autocommit == was_autocommit
            )
            if is_as_it_was and not self._is_disposed:
                self._do_return_conn(record)
            else:  # closing waits for the driver
                await greenlet_spawn(self._close_and_return, record)

    async def _take(self) -> ConnectionPoolEntry:
        self._leave_parent()
        started, grant = time.monotonic(), self.places.take()
        if isinstance(grant, ConnectionPoolEntry) and self.is_usable(grant):
            return self._hand_out(grant, started=started)  # nothing to wait for: no greenlet
        return await greenlet_spawn(self._get, grant, started=started)

    def _close_and_return(self, record: ConnectionPoolEntry) -> None:
        try:
            record.invalidate()
        finally:
            self._do_return_conn(record)
