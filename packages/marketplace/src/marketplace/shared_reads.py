"""Does reads that are asked for at the same time only once.

Requests that come in while a read is under way share the next one. This is no cache: the read that answers a request
always begins after the request has come. The more ask for the same, the less each of them costs.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class SharedReads(Generic[T]):
    """The reads of one event loop, by what is read."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, list[asyncio.Future[T]]] = {}
        self._runners: dict[Hashable, asyncio.Task[None]] = {}

    async def read(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        """Give the result of `work` to all who ask with this key; raises what it raises."""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(answer)
        if key not in self._runners:
            # In a task of its own: whoever asked first may be cancelled, and the others still wait.
            self._runners[key] = asyncio.create_task(self._run(key, work))
        return await answer

    async def _run(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> None:
        try:
            while asked := self._waiting.pop(key, None):
                await _answer(asked, work)
        finally:
            del self._runners[key]


async def _answer(asked: list[asyncio.Future[T]], work: Callable[[], Awaitable[T]]) -> None:
    try:
        found = await work()
    except Exception as error:  # noqa: BLE001  # whoever asked gets it
        for answer in asked:
            if not answer.done():
                answer.set_exception(error)
        return
    for answer in asked:
        if not answer.done():  # a request may have been cancelled meanwhile
            answer.set_result(found)
