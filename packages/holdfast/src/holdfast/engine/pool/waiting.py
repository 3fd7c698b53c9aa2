"""The two ways to wait and to work in the background: in threads, and in an event loop.

As everywhere in SQLAlchemy the functions look synchronous; in the event loop they run inside `greenlet_spawn`.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy.util.concurrency import await_only, greenlet_spawn

from holdfast.engine.pool.places import Signal


class Waiter(Signal, Protocol):
    """One wait, and how it is ended."""

    def wait(self, seconds: float | None) -> object:
        """Wait until woken, or for that many seconds."""


class Timer(Protocol):
    """Work to be done later, which can be cancelled."""

    def cancel(self) -> None:
        """Cancel the work."""


class WaysToWait(Protocol):
    """How a pool waits: in threads, or in an event loop."""

    def signal(self) -> Waiter:
        """Make the means by which one wait of the caller is ended."""

    def here(self) -> Signal | None:
        """Identify who uses a connection from now on, where that user can vanish without notice."""

    def in_background(self, work: Callable[[], None]) -> None:
        """Start work in the background, without waiting for it."""

    def later(self, seconds: float, work: Callable[[], None]) -> Timer:
        """Start the work after that many seconds."""

    def will_fire(self, timer: Timer | None) -> bool:
        """Whether a timer can still fire."""

    def end_lost_work(self) -> None:
        """End work that nothing will continue."""


class _ThreadWaiter:
    """A lock that is released to wake: unlike that of an Event, releasing it never waits."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def wake(self) -> bool:
        with suppress(RuntimeError):  # woken before
            self._lock.release()
        return True

    def is_lost(self) -> bool:
        return False

    def wait(self, seconds: float | None) -> object:
        return self._lock.acquire(timeout=-1 if seconds is None else seconds)


class Threads:
    """Waits in the thread of the request, works in threads of its own."""

    def signal(self) -> Waiter:
        """Make a wait of one thread, on a lock of its own."""
        return _ThreadWaiter()

    def here(self) -> Signal | None:
        """None: a thread that ends drops what it has."""
        return None

    def in_background(self, work: Callable[[], None]) -> None:
        """Start work in a thread, with the context variables of the caller."""
        context = copy_context()
        threading.Thread(target=context.run, args=(work,), name="pool-connect", daemon=True).start()

    def later(self, seconds: float, work: Callable[[], None]) -> Timer:
        """Do the work in a thread that sleeps until then."""
        timer = threading.Timer(seconds, work)
        timer.name, timer.daemon = "pool-reaper", True
        timer.start()
        return timer

    def will_fire(self, timer: Timer | None) -> bool:
        """True: threads outlive whatever started them."""
        return timer is not None

    def end_lost_work(self) -> None:
        """Do nothing: threads end by themselves."""


class _LoopWaiter:
    __slots__ = ("_done", "_loop")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._done: asyncio.Future[None] = self._loop.create_future()

    def wake(self) -> bool:
        try:
            self._loop.call_soon_threadsafe(self._finish)
        except RuntimeError:  # the loop is closed
            return False
        return True

    def is_lost(self) -> bool:
        return self._loop.is_closed()

    def wait(self, seconds: float | None) -> object:
        return await_only(asyncio.wait({self._done}, timeout=seconds))

    def _finish(self) -> None:
        if not self._done.done():
            self._done.set_result(None)


@dataclass(frozen=True, slots=True)
class _InLoop:
    """A user in an event loop. What a closed loop leaves refers to itself through greenlets, and is never collected."""

    loop: asyncio.AbstractEventLoop

    def wake(self) -> bool:
        return False

    def is_lost(self) -> bool:
        return self.loop.is_closed()


class EventLoop:
    """Waits and works in the running event loop."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()  # the loop itself keeps only weak references
        self._timers_of: asyncio.AbstractEventLoop | None = None
        self._here: _InLoop | None = None

    def signal(self) -> Waiter:
        """Make a wait of one task, on a future of its own."""
        return _LoopWaiter()

    def here(self) -> Signal | None:
        """Give the running event loop, as the user of a connection."""
        loop = asyncio.get_running_loop()
        if self._here is None or self._here.loop is not loop:
            self._here = _InLoop(loop)
        return self._here

    def in_background(self, work: Callable[[], None]) -> None:
        """Do the work in a task of the event loop that runs now."""
        task = asyncio.get_running_loop().create_task(greenlet_spawn(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def later(self, seconds: float, work: Callable[[], None]) -> Timer:
        """Do the work in a task of the running loop, when its time has come."""
        self._timers_of = asyncio.get_running_loop()
        return self._timers_of.call_later(seconds, self.in_background, work)

    def will_fire(self, timer: Timer | None) -> bool:
        """Whether the timer's loop still runs: a timer dies with its loop."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return True  # called by a thread, where no timer can be set: leave it to others
        return timer is not None and loop is self._timers_of

    def end_lost_work(self) -> None:
        """Close the tasks of closed loops here and now, rather than in some garbage collection."""
        lost = [task for task in tuple(self._tasks) if task.get_loop().is_closed()]
        self._tasks.difference_update(lost)
        if lost:
            await_only(_close(lost))  # out there: a greenlet ends in the one that has begun it


async def _close(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        coroutine: Any = task.get_coro()
        with suppress(Exception):  # begun in another thread, which alone may end it
            coroutine.close()
