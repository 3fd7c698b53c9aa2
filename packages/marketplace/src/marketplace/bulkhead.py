"""Shares of the pool of connections: what waits for a lock never takes all of them.

A write may wait for a row that somebody holds locked. Each kind of write has at most half of the pool, and
all writes together leave a quarter of it to reads: so one locked row stops neither other writes nor any read.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from marketplace.problems import Overloaded

PATIENCE = timedelta(seconds=2)


class Bulkhead:
    """The shares of one pool of so many connections."""

    def __init__(self, connections: int, *, patience: timedelta = PATIENCE) -> None:
        self._most_of_a_kind = max(1, connections // 2)
        self._patience = patience.total_seconds()
        self._writes = asyncio.Semaphore(max(1, connections - connections // 4))
        self._kinds: dict[str, asyncio.Semaphore] = {}

    @asynccontextmanager
    async def place(self, kind: str) -> AsyncIterator[None]:
        """A place for one write of this kind; raises `Overloaded` when none becomes free in time."""
        of_kind = self._kinds.setdefault(kind, asyncio.Semaphore(self._most_of_a_kind))
        async with self._held(of_kind), self._held(self._writes):
            yield

    @asynccontextmanager
    async def _held(self, places: asyncio.Semaphore) -> AsyncIterator[None]:
        if places.locked():
            await self._wait_for(places)
        else:
            await places.acquire()  # at once
        try:
            yield
        finally:
            places.release()

    async def _wait_for(self, places: asyncio.Semaphore) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await places.acquire()
        except TimeoutError as error:
            raise Overloaded from error
