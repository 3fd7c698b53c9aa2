"""Opens connections in the background, so that a request can stop waiting; what comes late is not lost."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.pool import ConnectionPoolEntry

from holdfast.engine.pool.places import Places
from holdfast.engine.pool.waiting import Wait, Waiting, Wake

NO_FAILURE = "No attempt to connect has failed."


@dataclass(slots=True, eq=False)
class Attempt:
    """A connection that is being opened; when nobody attends any more, it goes into the pool."""

    wait: Wait
    attended: bool
    record: ConnectionPoolEntry | None = None
    error: BaseException | None = None


@dataclass(slots=True, kw_only=True)
class Opening:
    """Opens on places that were taken; a place is released when its attempt fails."""

    create: Callable[[], ConnectionPoolEntry]
    places: Places
    waiting: Waiting
    after_giving: Callable[[], None]
    last_failure: str = NO_FAILURE

    def before(self, seconds: float) -> ConnectionPoolEntry | None:
        """A connection, or None when it took longer. Raises what the driver raised."""
        attempt = self._begin(attended=True)
        try:
            attempt.wait(seconds)
            record = self._result(attempt)
        except BaseException:  # cancelled
            self._leave(attempt)
            raise
        if attempt.error is None:
            return record
        try:
            raise attempt.error
        finally:
            del attempt  # or the error, its traceback and this frame would keep each other alive

    def unattended(self, number: int) -> None:
        """Opens so many at once for the pool. Raises the error of one that failed, after all have ended."""
        attempts = [self._begin(attended=False) for _ in range(number)]
        for attempt in attempts:
            attempt.wait(None)
        errors = [attempt.error for attempt in attempts if attempt.error is not None]
        if errors:
            raise errors[0]

    def _begin(self, *, attended: bool) -> Attempt:
        wake, wait = self.waiting.signal()
        attempt = Attempt(wait, attended)
        try:
            self.waiting.in_background(lambda: self._open(attempt, wake))
        except BaseException:
            self.places.release()
            raise
        return attempt

    def _open(self, attempt: Attempt, wake: Wake) -> None:
        try:
            record = self.create()
        except BaseException as error:  # noqa: BLE001  # whoever waits raises it
            self.last_failure = f"The last attempt failed: {str(error).strip()}"
            attempt.error = error
            self.places.release()
        else:
            self.last_failure = NO_FAILURE
            self._hand_over(attempt, record)
        wake()

    def _hand_over(self, attempt: Attempt, record: ConnectionPoolEntry) -> None:
        with self.places.lock:
            attempt.record = record
            is_attended = attempt.attended
        if not is_attended:
            self._give(record)

    def _result(self, attempt: Attempt) -> ConnectionPoolEntry | None:
        """What there is now; from now on nobody attends an attempt without a result."""
        with self.places.lock:
            attempt.attended = attempt.record is not None
            return attempt.record

    def _leave(self, attempt: Attempt) -> None:
        record = self._result(attempt)
        if record is not None:
            self._give(record)

    def _give(self, record: ConnectionPoolEntry) -> None:
        self.places.give(record, now=time.monotonic())
        self.after_giving()
