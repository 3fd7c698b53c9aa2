"""Keeps track of a pool's places: idle connections, connections in use, waiting requests. Never waits itself.

A place is the right to have one connection open, so there are never more connections than places. Whoever opens or
uses a connection refers to its place, and the pool does not: a place that nobody refers to any more is free, whatever
became of its holder. What is taken is written into its request before it is taken away, so that an exception between
any two instructions (a signal handler's) finds it there. A returned connection goes to the request that waits longest.
The lock is a leaf: under it nothing waits, records, logs or calls an application.
"""

import threading
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Generic, Protocol, TypeVar


class Signal(Protocol):
    """How a waiting caller is woken."""

    def wake(self) -> bool:
        """End the wait, from any thread; give False if the caller can no longer be reached. Never waits."""

    def is_lost(self) -> bool:
        """Whether the waiting caller is gone without notice: its event loop was closed."""


class Place:
    """The right to have one connection open; it becomes free when nothing refers to it any more."""

    __slots__ = ("__weakref__", "connection", "holder", "index", "is_idle", "use", "used_since")

    def __init__(self, index: int) -> None:
        self.index = index
        self.is_idle = False
        self.use = 0  # counts how often its connection was taken
        self.used_since: float | None = None  # by `time.monotonic`
        self.holder: Signal | None = None  # who opens a connection here, or was granted it
        self.connection: weakref.ref[Any] | None = None  # what the holder was granted


class Placed(Protocol):
    """A connection that occupies a place."""

    place: Place


Connection = TypeVar("Connection", bound=Placed)


@dataclass(slots=True, eq=False)
class Request(Generic[Connection]):
    """A checkout and what it has been given so far; a waiting one is woken after `grant` was set."""

    signal: Signal | None = None
    grant: Connection | Place | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """How many connections a pool may have, has, and is opening, and how many callers wait."""

    maximum: int
    idle: int
    used: int
    connecting: int
    waiting: int


@dataclass(slots=True, kw_only=True)
class Places(Generic[Connection]):
    """The places of one pool. Times are those of `time.monotonic`."""

    maximum: int
    # What was lost is noted here: putting into this queue is all that happens in a garbage collection.
    lost: SimpleQueue[object] = field(default_factory=SimpleQueue)
    idle: deque[tuple[float, Connection]] = field(default_factory=deque)  # longest idle first
    requests: deque[Request[Connection]] = field(default_factory=deque)
    is_closed: bool = False
    # Reentrant: a signal handler may use the pool in the middle of any of these functions.
    lock: threading.RLock = field(default_factory=threading.RLock)
    _held: list[weakref.ref[Place] | None] = field(init=False)

    def __post_init__(self) -> None:
        self._held = [None] * self.maximum

    def take(self, request: Request[Connection]) -> Connection | Place | None:
        """Grant the connection used last, else a free place, else nothing."""
        with self.lock:
            if self.idle:
                request.grant = connection = self.idle[-1][1]
                connection.place.use += 1
                self.idle.pop()
                connection.place.is_idle = False
            else:
                self._take_free(request)
            return request.grant

    def take_or_wait(self, request: Request[Connection]) -> Connection | Place | None:
        """Grant as `take` does; a request that gets nothing joins the queue."""
        with self.lock:
            if self.take(request) is None:
                self.requests.append(request)
            return request.grant

    def withdraw(self, request: Request[Connection]) -> Connection | Place | None:
        """Take a request out of the queue; give what it was granted, or can have now."""
        with self.lock:
            with suppress(ValueError):
                self.requests.remove(request)
            return request.grant if request.grant is not None else self.take(request)

    def reserve(self, minimum: int) -> list[Place]:
        """Take free places until `minimum` are taken; none of a closed pool."""
        with self.lock:
            missing = 0 if self.is_closed else minimum - self.taken
            places = (self._take_free(Request()) for _ in range(missing))
            return [place for place in places if place is not None]

    def give(self, connection: Connection, *, now: float) -> bool:
        """Take back a connection; give False if it has no place here any more and must be closed."""
        place = connection.place
        with self.lock:
            if self.is_closed or not self._is_held(place):
                return False
            if not place.is_idle:
                self._put(connection, since=now)
            if self.requests:
                self.serve()
            return True

    def release(self, place: Place) -> None:
        """Free a place whose connection was closed or never opened; once, and only one of this pool."""
        with self.lock:
            if self._is_held(place):
                self.idle = deque(each for each in self.idle if each[1].place is not place)
                self._held[place.index] = None
            if self.requests:
                self.serve()

    def serve(self) -> None:
        """Give what is free to waiting requests, the longest wait first."""
        with self.lock:
            while self.requests:
                request = self.requests[0]
                if request.grant is None and self.take(request) is None:
                    return
                if not self._wake(request):
                    self._take_back(request)
                if self.requests and self.requests[0] is request:
                    self.requests.popleft()

    def take_idle(
        self, is_over: Callable[[float, Connection], bool]
    ) -> list[tuple[float, Connection]]:
        """Take the idle connections that the condition holds for, longest idle first; their places stay taken."""
        with self.lock:
            over = [each for each in self.idle if is_over(*each)]
            for each in over:
                self.idle.remove(each)
                each[1].place.is_idle = False
            return over

    def take_from_the_lost(self) -> list[Connection]:
        """Free the places of callers that are gone without notice; give the connections to be closed."""
        with self.lock:
            self.requests = deque(each for each in self.requests if not _is_lost(each.signal))
            lost = [place for place in self._alive() if _is_lost(place.holder)]
            for place in lost:
                self._held[place.index] = None
        found = (place.connection() for place in lost if place.connection is not None)
        return [connection for connection in found if connection is not None]

    def close(self) -> list[Connection]:
        """Keep nothing from now on; give the idle connections, to be closed."""
        with self.lock:
            self.is_closed = True
            return [each for _, each in self.take_idle(lambda _since, _connection: True)]

    @property
    def taken(self) -> int:
        """How many places are not free."""
        return len(self._alive())

    def figures(self) -> Figures:
        """Give the pool's figures. Takes no lock: the caller may hold one that a thread in here waits for."""
        places = self._alive()
        idle, used = len(self.idle), sum(place.used_since is not None for place in places)
        return Figures(
            maximum=self.maximum,
            idle=idle,
            used=used,
            connecting=max(0, len(places) - idle - used),
            waiting=len(self.requests),
        )

    def longest_use(self, *, now: float) -> float:
        """Give the longest current use in seconds; 0 if nothing is in use."""
        since = (place.used_since for place in self._alive())
        return max((now - each for each in since if each is not None), default=0.0)

    def _alive(self) -> list[Place]:
        found = (ref() for ref in tuple(self._held) if ref is not None)
        return [place for place in found if place is not None]

    def _is_held(self, place: Place) -> bool:
        ref = self._held[place.index]
        return ref is not None and ref() is place

    def _take_free(self, request: Request[Connection]) -> Place | None:
        for index, ref in enumerate(self._held):
            if ref is None or ref() is None:
                request.grant = place = Place(index)
                self._held[index] = weakref.ref(place, self.lost.put)
                return place
        return None

    def _put(self, connection: Connection, *, since: float) -> None:
        place, index = connection.place, len(self.idle)
        place.used_since = place.holder = place.connection = None
        while index and self.idle[index - 1][0] > since:
            index -= 1
        self.idle.insert(index, (since, connection))
        place.is_idle = True

    def _wake(self, request: Request[Connection]) -> bool:
        grant, signal = request.grant, request.signal
        assert grant is not None  # noqa: S101  # this and the next: only such requests are woken
        assert signal is not None  # noqa: S101
        if isinstance(grant, Place):
            grant.holder = signal
        else:
            grant.place.holder, grant.place.connection = signal, weakref.ref(grant)
        return signal.wake()

    def _take_back(self, request: Request[Connection]) -> None:
        grant, request.grant = request.grant, None
        if isinstance(grant, Place):
            self._held[grant.index] = None
        elif grant is not None and self._is_held(grant.place):
            self._put(grant, since=0.0)


def _is_lost(signal: Signal | None) -> bool:
    return signal is not None and signal.is_lost()
