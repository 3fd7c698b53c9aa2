"""Closes connections that have been idle for too long, and keeps the minimum, without a request's help."""

import logging
import time
import weakref
from typing import Protocol

from holdfast.engine.pool.limits import PoolLimits
from holdfast.engine.pool.places import Places
from holdfast.engine.pool.record import Record
from holdfast.engine.pool.waiting import Timer, WaysToWait

logger = logging.getLogger(__name__)


class Reaped(Protocol):
    """What is asked of a pool."""

    name: str
    limits: PoolLimits
    places: Places[Record]

    def sweep(self) -> None:
        """Close the idle connections that are not usable."""

    def end_lost(self) -> None:
        """Close what event loops have left behind that were closed in the middle of something."""

    def discard(self, record: Record) -> None:
        """Close it and release its place."""

    def prewarm(self) -> None:
        """Open what is missing to the minimum."""


class Reaper:
    """One timer, set while the pool is used; it fires when the connection idle longest is due.

    It keeps nothing of the pool alive: an engine that was dropped without `dispose` is collected.
    """

    def __init__(self, pool: Reaped, *, waiting: WaysToWait) -> None:
        self._pool = weakref.ref(pool)
        self._idle = pool.limits.idle.total_seconds()
        self._waiting = waiting
        self._timer: Timer | None = None

    def plan(self) -> None:
        """Set the timer, when a connection has become idle and none is set."""
        if not self._waiting.will_fire(self._timer):
            self._timer = self._waiting.later(self._idle, self._reap_and_plan)

    def stop(self) -> None:
        """End the timer, as the pool is disposed of."""
        if self._timer is not None:
            self._timer.cancel()

    def _reap_and_plan(self) -> None:
        pool = self._pool()
        if pool is None or pool.places.is_closed:
            return
        try:
            self.reap(pool)
            pool.prewarm()
        except Exception:
            logger.warning("%s: the minimum could not be kept", pool.name, exc_info=True)
        if not pool.places.is_closed:
            self._timer = self._waiting.later(self._until_next(pool), self._reap_and_plan)

    def reap(self, pool: Reaped) -> None:
        """One look at everything that is idle."""
        pool.end_lost()
        pool.sweep()
        now = time.monotonic()
        surplus = pool.places.taken - pool.limits.min

        def is_surplus(since: float, _: Record) -> bool:
            nonlocal surplus
            is_over = surplus > 0 and now - since >= self._idle
            surplus -= is_over
            return is_over

        for _, record in pool.places.take_idle(is_surplus):
            pool.discard(record)

    def _until_next(self, pool: Reaped) -> float:
        """Seconds. A connection that is kept for the minimum is looked at again after a whole period."""
        with pool.places.lock:
            since = [since for since, _ in pool.places.idle]
        now = time.monotonic()
        due = (since + self._idle - now for since in since)
        return next((left for left in due if left > 0), self._idle)
