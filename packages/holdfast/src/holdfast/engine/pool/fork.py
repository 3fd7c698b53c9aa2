"""Keeps a forked child process from using its parent's connections, whatever it calls first.

A child inherits the sockets of its parent's sessions; a ROLLBACK or the message that a client ends would reach the
parent's server process. So in the child each of these sockets is replaced by one whose other end is closed: whoever
uses an inherited connection finds that it has ended. The pools of the child begin empty.
"""

import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from typing import Any, Protocol
from weakref import WeakSet

from psycopg import OperationalError


class Inherited(Protocol):
    """What a pool must offer for this."""

    def driver_connections(self) -> Iterable[Any]:
        """All open driver connections, wherever they are now."""

    def begin_empty(self) -> None:
        """Forget all connections and places."""

    def __hash__(self) -> int: ...


def watch_forks(pool: Inherited) -> None:
    """Make every child of this process leave the connections of the pool alone."""
    _watched().add(pool)


@cache
def _watched() -> WeakSet[Inherited]:
    """Give the process's registry of all pools: a function that is called after a fork cannot be unregistered."""
    pools: WeakSet[Inherited] = WeakSet()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: _leave_parent(list(pools)))
    return pools


def _leave_parent(pools: Iterable[Inherited]) -> None:
    ours, other = socket.socketpair()
    other.close()
    with ours:
        for pool in pools:
            for connection in pool.driver_connections():
                with suppress(OperationalError):  # closed before
                    os.dup2(ours.fileno(), connection.pgconn.socket, inheritable=False)
            pool.begin_empty()
