"""The two ways to wait and to work in the background: threads, and an event loop.

As everywhere in SQLAlchemy the functions look synchronous; in the event loop they run inside `greenlet_spawn`.
"""

import asyncio
import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Protocol

from sqlalchemy.util.concurrency import await_only, greenlet_spawn

Wake = Callable[[], None]
Wait = Callable[[float | None], object]


class Timer(Protocol):
    """What will happen later."""

    def cancel(self) -> None:
        """Not any more."""


class Waiting(Protocol):
    """What a pool needs."""

    def signal(self) -> tuple[Wake, Wait]:
        """Two functions: one wakes, once and from any thread; one waits for it, so many seconds."""

    def in_background(self, work: Callable[[], None]) -> None:
        """Starts it, does not wait for it."""

    def later(self, seconds: float, work: Callable[[], None]) -> Timer:
        """Starts it then."""

    def will_fire(self, timer: Timer | None) -> bool:
        """Whether it is still to be waited for."""


class Threads:
    """Waits in the thread of the request, works in threads of its own."""

    def signal(self) -> tuple[Wake, Wait]:
        """Of one event."""
        event = threading.Event()
        return event.set, event.wait

    def in_background(self, work: Callable[[], None]) -> None:
        """In a thread, with the context variables of the caller."""
        context = copy_context()
        threading.Thread(target=context.run, args=(work,), name="pool-connect", daemon=True).start()

    def later(self, seconds: float, work: Callable[[], None]) -> Timer:
        """In a thread that sleeps until then."""
        timer = threading.Timer(seconds, work)
        timer.name, timer.daemon = "pool-reaper", True
        timer.start()
        return timer

    def will_fire(self, timer: Timer | None) -> bool:
        """Threads outlive whoever started them."""
        return timer is not None


class EventLoop:
    """Waits and works in the running event loop."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()  # the loop itself keeps only weak references
        self._timers_of: asyncio.AbstractEventLoop | None = None

    def signal(self) -> tuple[Wake, Wait]:
        """Of one future."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def finish() -> None:
            if not done.done():
                done.set_result(None)

        def wake() -> None:
            if not loop.is_closed():
                # Threadsafe: the garbage collector returns a lost connection from any thread.
                loop.call_soon_threadsafe(finish)

        return wake, lambda seconds: await_only(asyncio.wait({done}, timeout=seconds))

    def in_background(self, work: Callable[[], None]) -> None:
        """In a task."""
        task = asyncio.get_running_loop().create_task(greenlet_spawn(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def later(self, seconds: float, work: Callable[[], None]) -> Timer:
        """In a task of the loop that runs now."""
        self._timers_of = asyncio.get_running_loop()
        return self._timers_of.call_later(seconds, self.in_background, work)

    def will_fire(self, timer: Timer | None) -> bool:
        """A timer dies with its loop."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return True  # called by the garbage collector, where no timer can be set: leave it to others
        return timer is not None and loop is self._timers_of
