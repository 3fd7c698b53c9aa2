"""Closes connections that have been idle too long, and keeps the minimum open, without any request's help."""

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
    """What a pool must offer for this."""

    name: str
    limits: PoolLimits
    places: Places[Record]

    def sweep(self) -> None:
        """Close the idle connections that are not usable."""

    def end_lost(self) -> None:
        """Close what closed event loops have left in the middle of something."""

    def discard(self, record: Record) -> None:
        """Close a connection and free its place."""

    def prewarm(self) -> None:
        """Open connections up to the minimum."""


class Reaper:
    """One timer, set while the pool is used; it fires when the longest-idle connection is due.

    It keeps nothing of the pool alive: an engine that was dropped without `dispose` is collected.
    """

    def __init__(self, pool: Reaped, *, waiting: WaysToWait) -> None:
        self._pool = weakref.ref(pool)
        self._idle = pool.limits.idle.total_seconds()
        self._waiting = waiting
        self._timer: Timer | None = None

    def plan(self) -> None:
        """Set the timer if a connection has become idle and none is set."""
        if not self._waiting.will_fire(self._timer):
            self._timer = self._waiting.later(self._idle, self._reap_and_plan)

    def stop(self) -> None:
        """Stop the timer, as the pool is disposed of."""
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
        """Look once at every idle connection, and close those that are due."""
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
        """Give the seconds until the next look; a connection kept for the minimum waits a whole period again."""
        with pool.places.lock:
            since = [since for since, _ in pool.places.idle]
        now = time.monotonic()
        due = (since + self._idle - now for since in since)
        return next((left for left in due if left > 0), self._idle)
