"""Divides the pool of connections into shares, so that writes that wait for locks never take all of it.

A write may wait for a row that somebody holds locked. Each kind of write has at most half of the pool, and
all writes together leave a quarter of it to reads: so one locked row stops neither other writes nor any read.
"""

import asyncio
from datetime import timedelta

from marketplace.problems import Overloaded

PATIENCE = timedelta(seconds=2)


class Bulkhead:
    """The shares of one pool of that many connections."""

    def __init__(self, connections: int, *, patience: timedelta = PATIENCE) -> None:
        self._most_of_a_kind = max(1, connections // 2)
        self._patience = patience.total_seconds()
        self._writes = asyncio.Semaphore(max(1, connections - connections // 4))
        self._kinds: dict[str, asyncio.Semaphore] = {}

    def place(self, kind: str) -> "Place":
        """Take a place for one write of this kind; `async with` raises `Overloaded` if none becomes free in time."""
        of_kind = self._kinds.get(kind)
        if of_kind is None:
            of_kind = self._kinds[kind] = asyncio.Semaphore(self._most_of_a_kind)
        return Place(of_kind, self._writes, patience=self._patience)


class Place:
    """The place of one write: one of its kind's share, and one among all."""

    __slots__ = ("_of_kind", "_patience", "_writes")

    def __init__(
        self, of_kind: asyncio.Semaphore, writes: asyncio.Semaphore, *, patience: float
    ) -> None:
        self._of_kind, self._writes, self._patience = of_kind, writes, patience

    async def __aenter__(self) -> None:
        await self._take(self._of_kind)
        try:
            await self._take(self._writes)
        except BaseException:
            self._of_kind.release()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._writes.release()
        self._of_kind.release()

    async def _take(self, places: asyncio.Semaphore) -> None:
        if not places.locked():
            await places.acquire()  # at once
            return
        try:
            async with asyncio.timeout(self._patience):
                await places.acquire()
        except TimeoutError as error:
            raise Overloaded from error
