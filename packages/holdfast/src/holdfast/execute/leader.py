"""One migrator at a time: a session advisory lock, polled, on a connection of its own.

Polled, because a session that blocks in pg_advisory_lock() while the holder builds an index concurrently is a
deadlock (the build waits for the waiter's snapshot, the waiter for the builder's lock). The idle holder is
harmless. The manual: Advisory Locks.
"""

import logging
from contextlib import ExitStack
from datetime import timedelta
from time import monotonic

import tenacity
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from holdfast.errors.migration import AnotherMigratorIsStillAtWork, LeadershipLost
from holdfast.execute.progress import Report, WaitingForLeader
from holdfast.execute.session import second_session
from holdfast.observe.migration_progress import current_holder
from holdfast.observe.schema_constants import KEY

log = logging.getLogger(__name__)

PATIENCE = timedelta(minutes=10)
VERIFIED_FOR = timedelta(seconds=1)


class Leadership:
    """Held from the first pending revision to the last; ends with `close` or with its connection."""

    def __init__(self, migration: Connection) -> None:
        self._session = ExitStack()
        self._connection = self._session.enter_context(second_session(migration))
        self._released = False
        self._verified = monotonic()

    def acquire(self, *, report: Report, patience: timedelta = PATIENCE) -> None:
        """Wait, polling, until no other process migrates this database; raise after `patience`."""
        waiting = tenacity.Retrying(
            wait=tenacity.wait_random_exponential(multiplier=0.025, max=1),
            stop=tenacity.stop_after_delay(patience.total_seconds()),
            retry=tenacity.retry_if_result(lambda acquired: not acquired),
            before_sleep=lambda state: self._tell(report, attempt=state.attempt_number),
        )
        try:
            waiting(self._try)
        except tenacity.RetryError as error:
            holder = self.holder()
            self.close()
            raise AnotherMigratorIsStillAtWork(holder=holder, waited=patience) from error

    def verify(self) -> None:
        """Raise if the connection, and with it the lock, is gone. Asks at most once a second."""
        if monotonic() - self._verified < VERIFIED_FOR.total_seconds():
            return
        try:
            self._connection.execute(text("SELECT 1"))
        except DBAPIError as error:
            raise LeadershipLost from error
        self._verified = monotonic()

    def holder(self) -> str:
        """Who holds the lock now, in words."""
        return current_holder(self._connection) or "a process that just ended"

    def close(self) -> None:
        """Give the lock back and end its session. Idempotent."""
        if not self._released:
            self._released = True
            with self._session:
                self._connection.execute(text("SELECT pg_advisory_unlock_all()"))

    def _try(self) -> bool:
        lock = text("SELECT pg_try_advisory_lock(:key)")
        return bool(self._connection.execute(lock, {"key": KEY}).scalar_one())

    def _tell(self, report: Report, *, attempt: int) -> None:
        if attempt % 10 == 1:
            report(WaitingForLeader(holder=self.holder()))
