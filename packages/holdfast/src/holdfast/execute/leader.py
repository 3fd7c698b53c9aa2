"""Elects one migrator at a time: an advisory lock on a connection of its own, polled; an epoch fences off others.

The lock elects. The server may end its connection while the work goes on, so every transaction of the work looks at
the epoch in holdfast.leader (FOR SHARE), and a new leader raises that: it waits for the transaction in flight, and
what comes after sees another epoch and stops.

Polled, because a session that blocks in pg_advisory_lock() while the holder builds an index concurrently is a
deadlock (the build waits for the waiter's snapshot, the waiter for the builder's lock). The idle holder is
harmless. The manual: Advisory Locks.
"""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from itertools import count
from random import uniform
from time import monotonic, sleep

from sqlalchemy import Connection, TextClause, text
from sqlalchemy.exc import DBAPIError

from holdfast.errors.leadership import AnotherMigratorIsStillAtWork, LeadershipLost
from holdfast.errors.sqlstate import LOCK_NOT_AVAILABLE, sqlstate
from holdfast.execute import layout
from holdfast.execute.history import client
from holdfast.execute.progress import Report, WaitingForLeader
from holdfast.execute.session import CALL, MigrationSession, polling, second_session
from holdfast.observe.current_holder import current_holder
from holdfast.observe.schema_constants import KEY, STEP_KEY

log = logging.getLogger(__name__)

PATIENCE = timedelta(minutes=10)
VERIFIED_FOR = timedelta(seconds=1)
FIRST_PAUSE = timedelta(
    milliseconds=50
)  # between two looks for the lock; doubled up to the longest one
LONGEST_PAUSE = timedelta(seconds=1)
ASKED_EVERY = timedelta(milliseconds=50)
TOLD_EVERY = 20  # times

MARK = "/* holdfast step */"  # begins a statement outside a transaction, behind a pooler: no lock can stand for it
# One row: the new epoch, and whether a step of a former leader goes on. Waits for the transactions that hold the row
# FOR SHARE. No row while somebody else has a lease (execute/lease.py).
RAISE_EPOCH = text(
    """
    UPDATE holdfast.leader SET epoch = epoch + 1, client = :client, since = now()
    WHERE NOT EXISTS (SELECT FROM holdfast.lease WHERE until > clock_timestamp() AND token <> :token)
    RETURNING epoch, EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
      AND state = 'active' AND pid <> pg_backend_pid() AND query LIKE :marked) AS is_stepping
    """
)
IS_STEPPING = text(
    """
    SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
      AND state = 'active' AND pid <> pg_backend_pid() AND query LIKE :marked)
    """
)
LEASE_HOLDER = text("SELECT client FROM holdfast.lease WHERE until > clock_timestamp()")
FORMER = "the process that migrated before"
# Whether a lock was free: it is held from then on, or given back at once.
LOCK = text("SELECT pg_try_advisory_lock(:key)")
LOCK_FOR_A_MOMENT = text(
    "SELECT CASE WHEN pg_try_advisory_lock(:key) THEN pg_advisory_unlock(:key) ELSE false END"
)
WAIT_A_SECOND = text("SELECT set_config('lock_timeout', '1s', true)")


class Leadership:
    """The migration lock, held from the first pending revision to the last; it ends with `close` or its connection."""

    def __init__(self, migration: Connection) -> None:
        self._session = ExitStack()
        self._connection = self._session.enter_context(second_session(migration))
        self._released = False
        self._verified = monotonic()

    def acquire(self, *, report: Report, patience: timedelta = PATIENCE) -> None:
        """Poll until no other process migrates this database; raise after `patience`."""
        if not self._poll(KEY, LOCK, report=report, patience=patience):
            holder = self.holder(KEY)
            self.close()
            raise AnotherMigratorIsStillAtWork(holder=holder, waited=patience)

    def take_over(
        self, session: MigrationSession, *, report: Report, patience: timedelta = PATIENCE
    ) -> None:
        """Create the tables, and raise the epoch that counts; raise after `patience`.

        What a former leader has in flight ends first: its transaction, and its step outside of one.
        """
        session.is_first_here = layout.ensure(session)
        session.commit()
        if session.is_first_here:
            session.epoch = layout.FIRST_EPOCH  # with which the table was made: nobody has another
        else:
            raise_epoch(session, report=report, patience=patience)
        self._wait_for_step(report=report, patience=patience)

    def _wait_for_step(self, *, report: Report, patience: timedelta) -> None:
        """Wait for the step of a former leader, whose backend goes on even if its process is gone."""
        if not self._poll(STEP_KEY, LOCK_FOR_A_MOMENT, report=report, patience=patience):
            holder = self.holder(STEP_KEY)
            raise AnotherMigratorIsStillAtWork(holder=holder, waited=patience)

    def verify(self) -> None:
        """Raise if the connection, and with it the lock, is gone. Asks at most once a second."""
        if monotonic() - self._verified < VERIFIED_FOR.total_seconds():
            return
        with self._holding():
            self._connection.execute(text("SELECT 1"))
        self._verified = monotonic()

    def holder(self, key: int) -> str:
        """Say who holds a lock now."""
        with self._holding():
            return current_holder(self._connection, key=key) or "a process that just ended"

    def call_itself(self, name: str) -> None:
        """Show this name in pg_stat_activity, where somebody may wonder about an idle session."""
        try:
            self._connection.execute(CALL, {"name": name})
        except (
            DBAPIError
        ):  # whether it is still there is asked by `verify`, and by the fence of each transaction
            log.debug("the session with the lock could not be named", exc_info=True)

    def close(self) -> None:
        """Release the lock and end the session. A second call does nothing."""
        if not self._released:
            self._released = True
            with self._session:
                self._connection.execute(text("SELECT pg_advisory_unlock_all()"))

    def _poll(self, key: int, lock: TextClause, *, report: Report, patience: timedelta) -> bool:
        """Try for a lock until the patience is over, with random pauses: many replicas may start at once."""
        limit, pause = monotonic() + patience.total_seconds(), FIRST_PAUSE
        for tries in count(1):
            if self._try(key, lock):
                return True
            if monotonic() >= limit:
                return False
            if tries % 10 == 1:
                report(WaitingForLeader(holder=self.holder(key)))
            sleep(uniform(0, pause.total_seconds()))  # noqa: S311  # no secret
            pause = min(2 * pause, LONGEST_PAUSE)
        raise AssertionError  # count() has no end

    def _try(self, key: int, lock: TextClause) -> bool:
        with self._holding():
            return bool(self._connection.execute(lock, {"key": key}).scalar_one())

    @contextmanager
    def _holding(self) -> Iterator[None]:
        """Raise LeadershipLost if this connection, and with it the lock, is lost in the block."""
        try:
            yield
        except DBAPIError as error:
            raise LeadershipLost from error


def raise_epoch(
    session: MigrationSession, *, report: Report, patience: timedelta, token: str = ""
) -> None:
    """Raise the epoch that counts, once no other process has a lease and no transaction is in flight.

    Raises AnotherMigratorIsStillAtWork after `patience`.
    """
    values = {"client": client(), "token": token, "marked": f"{MARK}%"}
    holder = f"a transaction of {FORMER}"
    for tries, _ in enumerate(polling(patience, every=ASKED_EVERY)):
        try:
            session.execute(WAIT_A_SECOND)
            raised = session.execute(RAISE_EPOCH, values).one_or_none()
            if raised is None:
                by_lease = session.execute(LEASE_HOLDER).scalar()
                holder = f"{by_lease or FORMER}, by a lease through a pooler"
            session.commit()
        except DBAPIError as error:
            session.rollback()
            if sqlstate(error) != LOCK_NOT_AVAILABLE:
                raise
            raised, holder = None, f"a transaction of {FORMER}"
        if raised is not None:
            session.epoch = raised.epoch
            if raised.is_stepping:
                _wait_for_marked_step(session, report=report, patience=patience)
            return
        if tries % TOLD_EVERY == 0:
            report(WaitingForLeader(holder=holder))
    raise AnotherMigratorIsStillAtWork(holder=holder, waited=patience)


def _wait_for_marked_step(
    session: MigrationSession, *, report: Report, patience: timedelta
) -> None:
    holder = f"a step of {FORMER}"
    for tries, _ in enumerate(polling(patience, every=ASKED_EVERY)):
        is_stepping = session.execute(IS_STEPPING, {"marked": f"{MARK}%"}).scalar_one()
        session.commit()
        if not is_stepping:
            return
        if tries % TOLD_EVERY == 0:
            report(WaitingForLeader(holder=holder))
    raise AnotherMigratorIsStillAtWork(holder=holder, waited=patience)
