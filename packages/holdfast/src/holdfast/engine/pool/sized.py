"""A SQLAlchemy pool with the contract of `PoolLimits`: `create_engine(poolclass=SizedPool, limits=...)`.

One deadline covers queueing, name resolution, all hosts, the handshake and the listeners of SQLAlchemy's `connect`
event; there are never more than `max` connections. A connection is looked at whenever it is handed out.
"""

import logging
import random
import time
import weakref
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial
from typing import Any, Self
from weakref import WeakSet

from sqlalchemy.pool import ConnectionPoolEntry, Pool, PoolProxiedConnection
from sqlalchemy.pool.base import _ConnectionFairy
from sqlalchemy.util.concurrency import greenlet_spawn

from holdfast.engine.pool.fork import watch_forks
from holdfast.engine.pool.limits import PoolLimits
from holdfast.engine.pool.loan import Loan
from holdfast.engine.pool.lost import LostProperty
from holdfast.engine.pool.metrics import POOL, PoolMetrics, global_metrics
from holdfast.engine.pool.opening import THROWN_AWAY, Checkout, Opening
from holdfast.engine.pool.places import Figures, Place, Places
from holdfast.engine.pool.reaper import Reaper
from holdfast.engine.pool.record import CheckedOut, Record
from holdfast.engine.pool.waiting import EventLoop, Threads, WaysToWait
from holdfast.errors.pool import ConnectionNotOpened, PoolExhausted

logger = logging.getLogger(__name__)

# At a start all connections are opened at once: the server may be starting, or a pooler may queue some.
PREWARMING = 10  # times the timeout of a request
POOLER_WAITS = (
    "A pooler lets connections wait that it has none to the server for: HOLDFAST_POOL_MIN must fit into its"
    " default_pool_size."
)
JITTER = 0.1  # of the lifetime: connections opened together are not replaced together
Grant = Record | Place


class _Sized(Pool):
    """What both pools share; they differ in how they wait."""

    _new_waiting: Callable[[], WaysToWait]

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
        super().__init__(creator, **options)
        self.begin_empty()
        self._metrics.watch(self)
        watch_forks(self)

    def prewarm(self) -> None:
        """Open connections up to `min`, all at once; raises the error of one that failed.

        Each is given the time of a request; all of them together ten times that. Raises ConnectionNotOpened then.
        """
        patience = self.limits.timeout * PREWARMING
        places = self.places.reserve(self.limits.min)
        if not self._opening.unattended(places, seconds=patience.total_seconds()):
            raise ConnectionNotOpened(
                pool=self.name,
                timeout=patience,
                left=patience,
                last_failure=f"{self._opening.last_failure} {POOLER_WAITS}",
            )

    def figures(self) -> Figures:
        """How many connections the pool has, by what they do, and how many callers wait."""
        return self.places.figures()

    def status(self) -> str:
        """Give the figures, for SQLAlchemy's log."""
        return str(self.figures())

    def is_usable(self, record: Record) -> bool:
        """Whether a connection is not too old, of the current generation, and not ended by the server."""
        return self._is_young(record) and record.is_alive()

    def discard(self, record: Record) -> None:
        """Close a connection and free its place."""
        try:
            record.close()
        finally:
            self.places.release(record.place)

    def end_lost(self) -> None:
        """Close what closed event loops have left in the middle of something."""
        for record in self.places.take_from_the_lost():
            self.discard(record)
        self.waiting.end_lost_work()

    def sweep(self) -> None:
        """Close the idle connections that are not usable."""
        for since, record in self.places.take_idle(
            lambda _since, record: not (self._is_young(record) and record.is_quiet())
        ):
            # Checked outside of the lock: the application's handlers of notices may use the pool.
            if not (self.is_usable(record) and self.places.give(record, now=since)):
                self.discard(record)

    def recreate(self) -> Self:
        """Give a pool with the same limits and settings, without connections."""
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
        """Close what is idle now; what is in use or being opened is closed when it comes back."""
        for record in self.leave():
            self.discard(record)

    def leave(self) -> list[Record]:
        """Dispose of the pool, but leave idle connections open and give them."""
        self._metrics.forget(self)
        self._reaper.stop()
        return self.places.close()

    def begin_empty(self) -> None:
        """Forget all connections and places: at the start, and in a child of this process."""
        self.places = Places[Record](maximum=self.limits.max)
        self._lost = LostProperty(self, self.places.lost)
        self._driver_connections: WeakSet[Any] = WeakSet()
        self.waiting = self._new_waiting()
        self._reaper = Reaper(self, waiting=self.waiting)
        self._opening = Opening(
            create=self._create,
            places=self.places,
            waiting=self.waiting,
            after_giving=self._reaper.plan,
            close=self.discard,
        )

    def driver_connections(self) -> Iterable[Any]:
        """All open driver connections, also those that were detached."""
        return list(self._driver_connections)

    def return_lost(self, found: object) -> None:
        """Return what the garbage collector has found; called by a thread that holds no locks."""
        if not isinstance(found, CheckedOut):
            self.places.serve()  # somebody has dropped a place
        elif found.record.fairy_ref is found:
            logger.warning("%s: a connection was not returned before it was collected", self.name)
            self._return_collected(found.record)

    def _return_collected(self, record: Record) -> None:
        raise NotImplementedError

    def _is_young(self, record: Record) -> bool:
        return time.monotonic() < record.expires and record.opened > self._invalidate_time

    def _do_get(self) -> ConnectionPoolEntry:
        return self._get(Checkout(), started=time.monotonic())

    def _get(self, checkout: Checkout, *, started: float) -> Record:
        """Take a connection, with what the checkout has been given already, if anything; may wait."""
        try:
            grant = checkout.grant or self.places.take(checkout) or self._queue(checkout, started)
            while isinstance(grant, Record) and not self.is_usable(grant):
                # One has ended: the others probably too, after a restart. They must not fail a request each.
                self.discard(grant)
                self.sweep()
                checkout.grant = None
                grant = self.places.take(checkout) or self._queue(checkout, started)
            if isinstance(grant, Place):
                grant = self._connect(checkout, grant, started)
            return self._hand_out(grant, started=started)
        except THROWN_AWAY:
            raise
        except BaseException:  # cancelled, or raised by a signal handler anywhere in here
            self._give_up(checkout)
            raise

    def _give_up(self, checkout: Checkout) -> None:
        """Give what a checkout has to others, or close it if it is not known how far it had got."""
        if checkout.attempt is not None:
            self._opening.leave(checkout.attempt)
        elif isinstance(checkout.grant, Place):
            self.places.release(checkout.grant)
        elif checkout.grant is not None:
            self.discard(checkout.grant)

    def _hand_out(self, record: Record, *, started: float) -> Record:
        record.place.holder = holder = self.waiting.here()
        record.place.connection = None if holder is None else weakref.ref(record)
        record.place.used_since = now = time.monotonic()
        self._metrics.wait_time.record(now - started, self._attributes)
        return record

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        assert isinstance(record, Record)  # noqa: S101  # what `_create` has made
        use, since = record.place.use, record.place.used_since
        try:
            now = time.monotonic()
            record.place.used_since = None
            if record.dbapi_connection is None:  # invalidated, detached or lost
                self.places.release(record.place)
            elif self.places.give(record, now=now):
                self._reaper.plan()
            else:
                self.discard(record)
        except BaseException:  # raised by a signal handler
            if record.place.use == use and not record.place.is_idle:
                self.discard(record)
            raise
        if since is not None:
            self._metrics.use_time.record(now - since, self._attributes)

    def _invalidate(
        self,
        connection: PoolProxiedConnection,
        exception: BaseException | None = None,
        _checkin: bool = True,
    ) -> None:
        super()._invalidate(connection, exception, _checkin)
        self.sweep()

    def _create(self, place: Place) -> Record:
        self._lost.watch()
        return Record(self, place, self.places.lost.put)

    def _should_wrap_creator(self, creator: Any) -> Any:
        create = super()._should_wrap_creator(creator)

        def create_and_mark(record: Record) -> Any:
            started, opened = time.monotonic(), time.time()
            connection = create(record)
            driver = self._dialect.get_driver_connection(connection)
            self._driver_connections.add(driver)
            now = time.monotonic()
            lifetime = self.limits.max_lifetime.total_seconds()
            expires = now + lifetime * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  # no secret
            record.mark(driver.pgconn, opened=opened, expires=expires)
            self._metrics.create_time.record(now - started, self._attributes)
            return connection

        return create_and_mark

    def _queue(self, checkout: Checkout, started: float) -> Grant:
        self.end_lost()
        checkout.signal = waiter = self.waiting.signal()
        try:
            if self.places.take_or_wait(checkout) is None:
                waiter.wait(self._left(started))
        finally:
            grant = self.places.withdraw(checkout)
        if grant is None:
            raise self._exhausted()
        return grant

    def _connect(self, checkout: Checkout, place: Place, started: float) -> Record:
        left = self._left(started)
        record = self._opening.before(checkout, place, left)
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
        figures = self.figures()
        longest_use = self.places.longest_use(now=time.monotonic())
        return PoolExhausted(
            pool=self.name,
            timeout=self.limits.timeout,
            maximum=figures.maximum,
            used=figures.used,
            connecting=figures.connecting,
            waiting=figures.waiting + 1,
            longest_use=timedelta(seconds=round(longest_use, 3)),
            last_failure=self._opening.last_failure,
        )

    def _left(self, started: float) -> float:
        return max(0.0, started + self.limits.timeout.total_seconds() - time.monotonic())


class SizedPool(_Sized):
    """The pool of `create_engine`: its callers wait in threads."""

    _is_asyncio = False
    _new_waiting = Threads

    def _return_collected(self, record: Record) -> None:
        # In a thread of its own: the ROLLBACK waits for the server.
        self.waiting.in_background(partial(self._reset_and_return, record))

    def _reset_and_return(self, record: Record) -> None:
        if record.dbapi_connection is None:
            record.checkin()
        else:
            _ConnectionFairy(self, record.dbapi_connection, record, None)._checkin()  # noqa: SLF001  # as SQLAlchemy


class AsyncSizedPool(_Sized):
    """The pool of `create_async_engine`: its callers wait in an event loop."""

    _is_asyncio = True
    _new_waiting = EventLoop

    def lend(self) -> Loan:
        """Lend the driver's own connection, for statements that do without SQLAlchemy.

        There are no events of SQLAlchemy, and errors are the driver's. However the block ends, nothing that it has set
        reaches the next borrower: in the background the session is set back to what it was before it was first lent,
        and a connection whose driver object was changed, or that is in a transaction, is closed.
        """
        return Loan(self, is_trusted=False)

    def lend_as_it_is(self) -> Loan:
        """Lend as `lend` does, to a borrower that leaves settings, locks and temporary tables alone.

        Only what the driver itself knows is looked at (its attributes, autocommit, the transaction); in return a
        borrowed connection costs no round trip but the borrower's own.
        """
        return Loan(self, is_trusted=True)

    async def take(self) -> Record:
        """Take a connection, for a loan."""
        checkout, started = Checkout(), time.monotonic()
        try:
            grant = self.places.take(checkout)
            if isinstance(grant, Record) and self.is_usable(grant):
                return self._hand_out(grant, started=started)  # nothing to wait for: no greenlet
        except BaseException:
            self._give_up(checkout)
            raise
        return await greenlet_spawn(self._get, checkout, started=started)

    def give_back(self, record: Record, *, is_clean: bool) -> None:
        """End a loan: take the connection back."""
        if not is_clean:
            record.invalidate()
        self._do_return_conn(record)

    @property
    def patience(self) -> float:
        """How many seconds a server may take to reset a session."""
        return self.limits.timeout.total_seconds()

    def _return_collected(self, record: Record) -> None:
        record.invalidate()  # it cannot be reset out here: that would wait in an event loop
        record.checkin()

    def _close_connection(self, connection: Any, *, terminate: bool = False) -> None:
        # psycopg closes without waiting, so it can be done anywhere: in a thread, in a task that is cancelled.
        self._dialect.get_driver_connection(connection).pgconn.finish()
