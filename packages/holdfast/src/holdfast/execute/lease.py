"""Elects one migrator at a time through a transaction pooler: a lease stands in for the lock of a session.

A row in holdfast.lease says who migrates and until when; a thread moves that on every 5 s, by the server's clock. Who
is killed loses it after 20 s. It is taken under the lock of execute/leader.py, for the moment of a transaction: who
migrates past the pooler holds that lock, and waits for a lease before its epoch counts. The epoch fences as it does
there; a step outside a transaction is known by a mark in its text, because a session's lock would stay in the pooler.
Nothing else is kept of a session: no guard, no watcher, no SET. What needs one is refused (rewrite/pooled.py).
"""

import asyncio
import logging
import secrets
import threading
from collections.abc import Callable
from datetime import timedelta
from time import monotonic

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.util.concurrency import greenlet_spawn

from holdfast.errors.leadership import AnotherMigratorIsStillAtWork, LeaseNotRenewed
from holdfast.execute import layout
from holdfast.execute.history import client
from holdfast.execute.leader import LEASE_HOLDER, PATIENCE, Leadership, raise_epoch
from holdfast.execute.progress import NoGuardBehindPooler, Report, WaitingForLeader
from holdfast.execute.session import MigrationSession, polling, second_session
from holdfast.observe.current_holder import current_holder
from holdfast.observe.schema_constants import KEY, STEP_KEY

log = logging.getLogger(__name__)

LASTS = timedelta(seconds=20)
RENEWED_EVERY = timedelta(seconds=5)
ASKED_EVERY = timedelta(milliseconds=200)
TOLD_EVERY = 25  # times

# For the transaction: who migrates past the pooler, or has a step under way there, holds it for its session.
LOCKED = text("SELECT pg_try_advisory_xact_lock(:key)")
# A row where it is ours now.
TAKE = text(
    """
    INSERT INTO holdfast.lease (token, client, until) VALUES (:token, :client, clock_timestamp() + :lasts)
    ON CONFLICT (is_only_row) DO UPDATE SET token = excluded.token, client = excluded.client, until = excluded.until
    WHERE lease.until <= clock_timestamp()
    RETURNING token
    """
)
RENEW = text(
    "UPDATE holdfast.lease SET until = clock_timestamp() + :lasts WHERE token = :token RETURNING token"
)
GIVE_BACK = text("DELETE FROM holdfast.lease WHERE token = :token")


class Lease:
    """A lease from the first pending revision to the last; it ends with `close`, or when it is not renewed."""

    def __init__(self, session: MigrationSession) -> None:
        self.session = session
        self.token = secrets.token_hex(16)
        self._renewed = monotonic()
        self._is_lost = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="holdfast lease", daemon=True)

    def acquire(self, *, report: Report, patience: timedelta = PATIENCE) -> None:
        """Poll until no other process migrates this database; raise after `patience`."""
        for tries, _ in enumerate(polling(patience, every=ASKED_EVERY)):
            since = monotonic()
            if self._take():
                self._renewed = since
                self._thread.start()
                report(NoGuardBehindPooler())
                return
            if tries % TOLD_EVERY == 0:
                report(WaitingForLeader(holder=self._holder()))
        raise AnotherMigratorIsStillAtWork(holder=self._holder(), waited=patience)

    def take_over(
        self, session: MigrationSession, *, report: Report, patience: timedelta = PATIENCE
    ) -> None:
        """Raise the epoch that counts, after what a former leader has in flight; raise after `patience`."""
        raise_epoch(session, report=report, patience=patience, token=self.token)
        for _ in polling(patience, every=ASKED_EVERY):
            is_free = session.execute(LOCKED, {"key": STEP_KEY}).scalar_one()
            session.commit()
            if is_free:
                return
        raise AnotherMigratorIsStillAtWork(holder="a step of a former process", waited=patience)

    def verify(self) -> None:
        """Raise if another process may have the lease by now. Asks the server nothing."""
        if self._is_lost or monotonic() - self._renewed > LASTS.total_seconds():
            raise LeaseNotRenewed

    def call_itself(self, name: str) -> None:
        """Do nothing: the name would soon be on a session that serves somebody else."""

    def close(self) -> None:
        """Give the lease back. A second call does nothing."""
        if self._ended.is_set():
            return
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _take(self) -> bool:
        """Take the lease; its tables are made first, under the same lock, so that only one process makes them."""
        if not self.session.execute(LOCKED, {"key": KEY}).scalar_one():
            self.session.rollback()
            return False
        layout.ensure(self.session)
        values = {"token": self.token, "client": client(), "lasts": LASTS}
        is_ours = self.session.execute(TAKE, values).one_or_none() is not None
        self.session.commit()
        return is_ours

    def _holder(self) -> str:
        has_lease = layout.exist(self.session) and self.session.execute(LEASE_HOLDER).scalar()
        holder = has_lease or current_holder(self.session.connection, key=KEY)
        self.session.rollback()
        return holder or "a process that just ended"

    def _keep(self) -> None:
        """Renew the lease until `close`, then give it back; on a new connection each time, so none can be lost."""
        while not self._ended.wait(RENEWED_EVERY.total_seconds()) and not self._is_lost:
            self._is_lost = not self._in_a_session(self._renew)
        self._in_a_session(self._give_back)

    def _in_a_session(self, work: Callable[[], bool]) -> bool:
        """Run `work` on a connection; give True if the server cannot be reached: the lease ends by itself."""
        try:
            return asyncio.run(_spawned(work)) if self.session.dialect.is_async else work()
        except (DBAPIError, OSError):
            log.debug("the lease could not be reached", exc_info=True)
            return True

    def _renew(self) -> bool:
        since = monotonic()
        with second_session(self.session.migration) as connection:
            values = {"token": self.token, "lasts": LASTS}
            is_ours = connection.execute(RENEW, values).one_or_none() is not None
        if is_ours:
            self._renewed = since
        return is_ours

    def _give_back(self) -> bool:
        with second_session(self.session.migration) as connection:
            connection.execute(GIVE_BACK, {"token": self.token})
        return True


def leadership_of(session: MigrationSession) -> Leadership | Lease:
    """Choose how a run is elected: by a lock of its session, or by a lease if no session is its own."""
    return Lease(session) if session.is_pooled else Leadership(session.migration)


async def _spawned(work: Callable[[], bool]) -> bool:
    return await greenlet_spawn(work)
