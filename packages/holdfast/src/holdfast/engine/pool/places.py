"""Who has the places of a pool: idle connections, connections in use, requests that wait. Never waits itself.

A place is the right to have one connection open. It is taken before connecting and released after closing, so
there are never more connections than places. A returned connection goes to the request that waits longest.
"""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from sqlalchemy.pool import ConnectionPoolEntry


class Place(Enum):
    """A place without a connection: whoever gets it opens one, or releases the place."""

    FREE = "free"


Grant = ConnectionPoolEntry | Place


@dataclass(slots=True, eq=False)
class Request:
    """A checkout that waits; `wake` is called once, after `grant` was set."""

    wake: Callable[[], None]
    grant: Grant | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """How a pool stands."""

    maximum: int
    idle: int
    used: int
    connecting: int
    waiting: int


@dataclass(slots=True, kw_only=True)
class Places:
    """The places of one pool. Times are those of `time.monotonic`."""

    maximum: int
    taken: int = 0
    idle: deque[tuple[float, ConnectionPoolEntry]] = field(
        default_factory=deque
    )  # longest idle first
    used: dict[ConnectionPoolEntry, float] = field(default_factory=dict)
    requests: deque[Request] = field(default_factory=deque)
    # Reentrant: the garbage collector returns lost connections at any point, in any thread.
    lock: threading.RLock = field(default_factory=threading.RLock)

    def take(self) -> Grant | None:
        """The connection used last, else a free place, else None."""
        with self.lock:
            if self.idle:
                return self.idle.pop()[1]
            if self.taken < self.maximum:
                self.taken += 1
                return Place.FREE
            return None

    def take_or_wait(self, request: Request) -> Grant | None:
        """As `take`; on None the request waits."""
        with self.lock:
            grant = self.take()
            if grant is None:
                self.requests.append(request)
            return grant

    def withdraw(self, request: Request) -> Grant | None:
        """The request waits no longer; gives what it was granted meanwhile."""
        with self.lock:
            if request.grant is None:
                self.requests.remove(request)
            return request.grant

    def reserve(self, minimum: int) -> int:
        """Takes free places until `minimum` are taken; gives their number."""
        with self.lock:
            missing = max(0, minimum - self.taken)
            self.taken += missing
            return missing

    def give(self, record: ConnectionPoolEntry, *, now: float) -> None:
        """A connection is free."""
        with self.lock:
            if self.requests:
                self._grant(record)
            else:
                self.idle.append((now, record))

    def release(self) -> None:
        """A place is free, its connection closed or never opened."""
        with self.lock:
            if self.requests:
                self._grant(Place.FREE)
            else:
                self.taken -= 1

    def take_idle(
        self, is_over: Callable[[float, ConnectionPoolEntry], bool]
    ) -> list[ConnectionPoolEntry]:
        """Idle connections for which it holds, longest idle first; their places stay taken."""
        with self.lock:
            over = []
            for _ in range(len(self.idle)):
                since, record = self.idle.popleft()
                if is_over(since, record):
                    over.append(record)
                else:
                    self.idle.append((since, record))
            return over

    def figures(self) -> Figures:
        """A consistent view."""
        with self.lock:
            idle, used = len(self.idle), len(self.used)
            return Figures(
                maximum=self.maximum,
                idle=idle,
                used=used,
                connecting=max(0, self.taken - idle - used),
                waiting=len(self.requests),
            )

    def _grant(self, grant: Grant) -> None:
        request = self.requests.popleft()
        request.grant = grant
        request.wake()
