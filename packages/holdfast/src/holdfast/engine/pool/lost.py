"""Returns connections that the garbage collector found, in a thread that holds no locks.

One thread for each pool that has opened a connection; it sleeps until something is lost, and ends with the pool.
"""

import itertools
import logging
import threading
import weakref
from queue import SimpleQueue
from typing import Protocol

logger = logging.getLogger(__name__)


class Searched(Protocol):
    """What a pool must offer for this."""

    def return_lost(self, found: object) -> None:
        """Take back the places of lost connections, whose borrowers are gone."""


class LostProperty:
    """The queue of lost connections of a pool, and its thread, which does not keep the pool alive."""

    def __init__(self, pool: Searched, found: SimpleQueue[object]) -> None:
        self._pool, self._found = weakref.ref(pool), found
        self._begun = itertools.count()
        weakref.finalize(pool, found.put, None).atexit = False

    def watch(self) -> None:
        """Start the thread that returns lost connections; a second call does nothing."""
        if next(self._begun) == 0:
            arguments = (self._pool, self._found)
            threading.Thread(target=_watch, args=arguments, name="pool-lost", daemon=True).start()


def _watch(pool: weakref.ref[Searched], lost: SimpleQueue[object]) -> None:
    while (found := lost.get()) is not None and (searched := pool()) is not None:
        try:
            searched.return_lost(found)
        except Exception:
            logger.exception("what was lost could not be returned to its pool")
        del found, searched  # nothing of a pool lives on here
