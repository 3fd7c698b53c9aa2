"""Rate limits: counted in this process, or in the database, which all processes share."""

import hashlib
import math
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

from marketplace.database import Transactions
from marketplace.problems import TooManyRequests
from marketplace.settings import Rate, RateSettings, RateStorage, rate

# A row: how often it was asked in the window that is open, this time included, and the seconds that it still lasts.
HIT = """
    INSERT INTO rate_counts AS known (key, hits, expires_at)
    VALUES (%(key)s, 1, now() + make_interval(secs => %(seconds)s))
    ON CONFLICT (key) DO UPDATE SET
        hits = CASE WHEN known.expires_at <= now() THEN 1 ELSE known.hits + 1 END,
        expires_at = CASE WHEN known.expires_at <= now() THEN excluded.expires_at ELSE known.expires_at END
    RETURNING hits, extract(epoch FROM expires_at - now())::float
"""
LOOK = "SELECT hits FROM rate_counts WHERE key = %(key)s AND expires_at > now()"
SWEEP_EVERY = 60.0  # seconds
FORGET = "DELETE FROM rate_counts WHERE key = %(key)s"


class Counter(Protocol):
    """Counts how often something was asked."""

    async def hit(self, rule: Rate, *about: str) -> float | None:
        """Count once more. None: it is within the rule; else the seconds until it is again."""

    async def has_room(self, rule: Rate, *about: str) -> bool:
        """Whether one more would be within the rule."""

    async def forget(self, rule: Rate, *about: str) -> None:
        """Begin to count anew, as if there had been no hit."""


@dataclass(slots=True)
class Window:
    """When something was asked, the oldest first, as far back as its rule looks."""

    expiry: float  # seconds
    hits: deque[float] = field(default_factory=deque)

    def forget_before(self, now: float) -> None:
        """Drop what the rule no longer looks at."""
        while self.hits and self.hits[0] <= now - self.expiry:
            self.hits.popleft()


class InProcess:
    """Counts in this process, in a moving window. Old entries are removed once a minute."""

    def __init__(self) -> None:
        self._windows: dict[str, Window] = {}
        self._swept_at = time.monotonic()

    async def hit(self, rule: Rate, *about: str) -> float | None:
        """Count a hit, as `Counter` says."""
        now, item = time.monotonic(), rate(rule)
        self._sweep(now)
        window = self._windows.setdefault(_key(rule, *about), Window(item.get_expiry()))
        window.forget_before(now)
        if len(window.hits) >= item.amount:
            return window.hits[0] + window.expiry - now
        window.hits.append(now)
        return None

    async def has_room(self, rule: Rate, *about: str) -> bool:
        """Whether a hit would be allowed, as `Counter` says."""
        window = self._windows.get(_key(rule, *about))
        if window is None:
            return True
        window.forget_before(time.monotonic())
        return len(window.hits) < rate(rule).amount

    async def forget(self, rule: Rate, *about: str) -> None:
        """Begin to count anew, as `Counter` says."""
        self._windows.pop(_key(rule, *about), None)

    def _sweep(self, now: float) -> None:
        if now - self._swept_at < SWEEP_EVERY:
            return
        self._swept_at = now
        for key, window in list(self._windows.items()):
            window.forget_before(now)
            if not window.hits:
                del self._windows[key]


class InDatabase:
    """Counts in the database, in consecutive windows. A key is a digest: no address is stored."""

    def __init__(self) -> None:
        self.transactions: Transactions | None = None  # known once the application starts

    async def hit(self, rule: Rate, *about: str) -> float | None:
        """Count a hit, as `Counter` says."""
        item = rate(rule)
        values = {"key": _key(rule, *about), "seconds": item.get_expiry()}
        hits, left = await self._row(HIT, values) or (1, 0.0)
        return None if hits <= item.amount else left

    async def has_room(self, rule: Rate, *about: str) -> bool:
        """Whether a hit would be allowed, as `Counter` says."""
        row = await self._row(LOOK, {"key": _key(rule, *about)})
        return row is None or row[0] < rate(rule).amount

    async def forget(self, rule: Rate, *about: str) -> None:
        """Begin to count anew, as `Counter` says."""
        async with self._started().statements("rates") as connection:
            await connection.execute(FORGET, {"key": _key(rule, *about)})

    async def _row(self, statement: str, values: dict[str, object]) -> tuple[int, float] | None:
        async with self._started().statements("rates") as connection:
            cursor = await connection.execute(statement, values)
            row: tuple[int, float] | None = await cursor.fetchone()
            return row

    def _started(self) -> Transactions:
        assert self.transactions is not None  # noqa: S101  # set by the lifespan, before any request
        return self.transactions


class Rates:
    """Counts by rule and by whom it is about."""

    def __init__(self, settings: RateSettings) -> None:
        is_shared = settings.storage is RateStorage.DATABASE
        self.counter: Counter = InDatabase() if is_shared else InProcess()

    def start(self, transactions: Transactions) -> None:
        """Set the database to count in, if there is one."""
        if isinstance(self.counter, InDatabase):
            self.counter.transactions = transactions

    async def count(self, rule: Rate, *about: str) -> None:
        """Count once more; raise `TooManyRequests` if this is one too many."""
        left = await self.counter.hit(rule, *about)
        if left is not None:
            raise TooManyRequests(retry_after=max(1, math.ceil(left)))

    async def is_within(self, rule: Rate, *about: str) -> bool:
        """Count once more, and say whether that is still within the rule."""
        return await self.counter.hit(rule, *about) is None

    async def has_room(self, rule: Rate, *about: str) -> bool:
        """Whether one more would be within the rule; counts nothing."""
        return await self.counter.has_room(rule, *about)

    async def forget(self, rule: Rate, *about: str) -> None:
        """Begin to count anew, as if there had been no hit."""
        await self.counter.forget(rule, *about)


def _key(rule: Rate, *about: str) -> str:
    return hashlib.sha256("\n".join((rule, *about)).encode()).hexdigest()
