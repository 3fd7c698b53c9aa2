"""Opens connections in the background, so that a request can stop waiting; one that comes late is still used."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from greenlet import GreenletExit  # type: ignore[import-untyped]  # has none

from holdfast.engine.pool.places import Place, Places, Request
from holdfast.engine.pool.record import Record
from holdfast.engine.pool.waiting import Waiter, WaysToWait

NO_FAILURE = "No attempt to connect has failed."
# An abandoned task may run this in a garbage collection. Its place becomes free by itself.
THROWN_AWAY = (GreenletExit, GeneratorExit)


@dataclass(slots=True, eq=False)
class Attempt:
    """A connection that is being opened; if no request waits for it any more, it goes into the pool."""

    place: Place
    waiter: Waiter
    attended: bool
    has_begun: bool = False
    is_called_off: bool = False
    record: Record | None = None
    error: BaseException | None = None


@dataclass(slots=True, eq=False)
class Checkout(Request[Record]):
    """A request that may also have a connection opened for it."""

    attempt: Attempt | None = None


@dataclass(slots=True, kw_only=True)
class Opening:
    """Opens connections on places that were taken; frees the place if an attempt fails."""

    create: Callable[[Place], Record]
    places: Places[Record]
    waiting: WaysToWait
    after_giving: Callable[[], None]
    close: Callable[[Record], None]
    last_failure: str = NO_FAILURE

    def before(self, request: Checkout, place: Place, seconds: float) -> Record | None:
        """Give a connection, or None if it took longer than the limit. Raises what the driver raised.

        Whatever else is raised: what the request has is for its caller to give back.
        """
        request.attempt = attempt = Attempt(place, self.waiting.signal(), attended=True)
        self._begin(attempt)
        attempt.waiter.wait(seconds)
        record = self._result(attempt)
        if attempt.error is None:
            request.grant = record
            request.attempt = None
            return record
        request.attempt = request.grant = None
        try:
            raise attempt.error
        finally:
            del attempt  # or the error, its traceback and this frame would keep each other alive

    def unattended(self, places: Iterable[Place], *, seconds: float) -> bool:
        """Open them all at once for the pool; give False if one is not there after that many seconds.

        What comes later goes into the pool. Raises the error of one that failed, after all have ended.
        """
        limit = time.monotonic() + seconds
        attempts = [Attempt(place, self.waiting.signal(), attended=False) for place in places]
        for attempt in attempts:
            self._begin(attempt)
        for attempt in attempts:
            attempt.waiter.wait(max(0.0, limit - time.monotonic()))
        errors = [attempt.error for attempt in attempts if attempt.error is not None]
        if errors:
            raise errors[0]
        return all(attempt.record is not None for attempt in attempts)

    def leave(self, attempt: Attempt) -> None:
        """Stop waiting for an attempt: its connection goes into the pool; one that has not begun never will."""
        with self.places.lock:
            attempt.attended = False
            attempt.is_called_off = not attempt.has_begun
            record = attempt.record
        if attempt.is_called_off:
            self.places.release(attempt.place)
        elif record is not None:
            self._give(record)

    def _begin(self, attempt: Attempt) -> None:
        attempt.place.holder = attempt.waiter
        self.waiting.in_background(lambda: self._open(attempt))

    def _open(self, attempt: Attempt) -> None:
        with self.places.lock:
            attempt.has_begun = not attempt.is_called_off
        if not attempt.has_begun:
            return
        try:
            record = self.create(attempt.place)
        except THROWN_AWAY:
            raise
        except BaseException as error:  # noqa: BLE001  # whoever waits raises it
            self.last_failure = f"The last attempt failed: {str(error).strip()}"
            attempt.error = error
            self.places.release(attempt.place)
        else:
            self.last_failure = NO_FAILURE
            self._hand_over(attempt, record)
        attempt.waiter.wake()

    def _hand_over(self, attempt: Attempt, record: Record) -> None:
        with self.places.lock:
            attempt.record = record
            is_attended = attempt.attended
        if not is_attended:
            self._give(record)

    def _result(self, attempt: Attempt) -> Record | None:
        """Give the result so far; an attempt without one has nobody waiting for it from now on."""
        with self.places.lock:
            attempt.attended = attempt.record is not None
            return attempt.record

    def _give(self, record: Record) -> None:
        if self.places.give(record, now=time.monotonic()):
            self.after_giving()
        else:  # the pool was disposed of meanwhile
            self.close(record)
