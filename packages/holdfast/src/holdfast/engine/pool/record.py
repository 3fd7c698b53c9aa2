"""SQLAlchemy's record of a connection, with its place in the pool, and its handling in garbage collection.

When a checked-out connection is lost, SQLAlchemy resets and returns it inside the garbage collection: it sends
statements, takes locks and calls listeners in the middle of anything. Here it is only noted, in a queue that is made
for that; the pool's own thread returns it.
"""

import select
import weakref
from collections.abc import Callable
from typing import Any

from sqlalchemy.pool import Pool
from sqlalchemy.pool.base import _ConnectionRecord

from holdfast.engine.pool.liveness import is_alive
from holdfast.engine.pool.places import Place


class CheckedOut(weakref.ref[Any]):
    """A weak reference to what an application has checked out; it reports when that is lost."""

    __slots__ = ("record",)
    record: "Record"


class Record(_ConnectionRecord):
    """A connection of a pool, with its place."""

    __slots__ = ("_checked_out", "_note", "_socket", "expires", "opened", "place")

    opened: float  # time.time(), as SQLAlchemy's own marks
    expires: float  # time.monotonic()

    def __init__(self, pool: Pool, place: Place, note: Callable[[object], object]) -> None:
        self.place = place
        self._note = note
        self._checked_out: CheckedOut | None = None
        super().__init__(pool)

    def mark(self, pgconn: Any, *, opened: float, expires: float) -> None:
        """Note that a connection was opened for this record."""
        self.opened, self.expires = opened, expires
        self._socket = select.poll()
        self._socket.register(pgconn.socket, select.POLLIN)

    def is_quiet(self) -> bool:
        """Whether the server has sent nothing, so it is still there. Never blocks, calls nothing."""
        connection = self.driver_connection
        return connection is not None and not connection.closed and not self._socket.poll(0)

    def is_alive(self) -> bool:
        """Whether there is a server at the other end. Never blocks; handlers of notices may be called."""
        connection = self.driver_connection
        return self.is_quiet() or (connection is not None and is_alive(connection.pgconn))

    # SQLAlchemy assigns a reference whose end it listens to; from 2.1 on it has a finaliser, which asks `needs_gc`.

    @property
    def fairy_ref(self) -> CheckedOut | None:  # an attribute there
        """The reference to what is checked out, or None."""
        return self._checked_out

    @fairy_ref.setter
    def fairy_ref(self, given: weakref.ref[Any] | None) -> None:
        if given is None:
            self._checked_out = None
            return
        reference = CheckedOut(given(), self._note)
        reference.record = self
        self._checked_out = reference

    @property
    def needs_gc(self) -> bool:
        """Always False: garbage collection does nothing here."""
        return False
