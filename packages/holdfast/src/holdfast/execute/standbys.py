"""Keeps a migration from taking locks that would block on a standby, behind somebody who reads there for long.

Before a transaction asks for ACCESS EXCLUSIVE, each standby of HOLDFAST_STANDBYS is asked: whether a transaction that
is older than a second has the table there, and whether it has replayed the last such lock. If so, this is like a lock
that is not free: all is given back, it is said who is in the way, and it is tried again within the same budget.
Without URLs only the primary can be asked how far its standbys are, and it is said that their readers are not seen.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic

import psycopg

from holdfast.engine.connection.database_url import arguments_of, hosts, split_url
from holdfast.errors.sqlstate import LOCK_NOT_AVAILABLE
from holdfast.execute.progress import Report, StandbyNotAsked, StandbyReadersUnseen
from holdfast.execute.session import MigrationSession
from holdfast.observe.blockers import Blocker, BlockerKind
from holdfast.observe.shown_query import shown_query
from holdfast.observe.standbys import (
    ReadingOnStandby,
    ReplayState,
    StandbyReader,
    position,
    readers,
    reading,
    replay,
    replication,
)
from holdfast.rewrite.locks import Lock, LockMode
from holdfast.rewrite.names import QualifiedName

log = logging.getLogger(__name__)

LONG_READ = timedelta(seconds=1)  # who reads for longer is waited for; others are soon gone
LAG = timedelta(seconds=10)  # a standby that is further behind would replay the lock much later
ASKED_AGAIN_AFTER = timedelta(seconds=10)  # whether there are standbys at all
LIMITS = "-c statement_timeout=5s -c lock_timeout=1s"


class StandbyInTheWay(Exception):  # no error of anybody: it is tried again
    """A standby on which others would wait for a lock of ours, or that has not replayed the last one."""

    sqlstate = LOCK_NOT_AVAILABLE

    def __init__(self, blockers: tuple[Blocker, ...]) -> None:
        super().__init__("; ".join(map(str, blockers)))
        self.blockers = blockers


class StandbyWatch:
    """Asks the standbys before each ACCESS EXCLUSIVE lock of one run."""

    def __init__(self, urls: tuple[str, ...], *, report: Report) -> None:
        self.report = report
        self.standbys = tuple(Standby(url, report=report) for url in urls)
        self._has_locked = False  # since the standbys have last passed what we did
        self._target: str | None = None  # what they have to pass before the next lock
        self._has_told = False
        self._counted = -ASKED_AGAIN_AFTER.total_seconds()
        self._is_alone = False

    def require_free(self, session: MigrationSession, locks: tuple[Lock, ...]) -> None:
        """Raise StandbyInTheWay if one of these locks had better not be taken now."""
        tables = [lock.relation for lock in locks if lock.mode is LockMode.ACCESS_EXCLUSIVE]
        if not tables or self._has_no_standbys():
            return
        if self._has_locked and self._target is None:
            self._target = position(session.connection)
        if self.standbys:
            found = [each for s in self.standbys for each in s.in_the_way(tables, self._target)]
        else:
            found = self._behind(session)
        if found:
            raise StandbyInTheWay(tuple(found))
        self._has_locked, self._target = True, None

    def close(self) -> None:
        """End the connections to all standbys. A second call does nothing."""
        for standby in self.standbys:
            standby.close()

    def _has_no_standbys(self) -> bool:
        is_due = monotonic() - self._counted > ASKED_AGAIN_AFTER.total_seconds()
        return self._is_alone and not is_due and not self.standbys

    def _behind(self, session: MigrationSession) -> list[Blocker]:
        seen = replication(session.connection, target=self._target)
        self._counted, self._is_alone = monotonic(), seen.standbys == 0
        if seen.standbys and not self._has_told:
            self._has_told = True
            self.report(StandbyReadersUnseen(standbys=seen.standbys, hidden=seen.hidden))
        return [behind(name) for name in seen.behind]


@dataclass(kw_only=True)
class TablesWatched:
    """Transactions whose age this role may not see, and when each was first seen."""

    since: float | None = None
    first_seen: dict[str, float] = field(default_factory=dict)
    clock: Callable[[], float] = monotonic

    def are_old(self, found: tuple[StandbyReader, ...]) -> tuple[StandbyReader, ...]:
        """Give those that have lasted long; one of hidden age counts once it has been seen for that long."""
        now = self.clock()
        hidden = {each.transaction for each in found if each.age is None}
        self.first_seen = {name: self.first_seen.get(name, now) for name in hidden}
        self.since = (self.since or now) if hidden else None
        is_new_here = self.since is not None and now - self.since < LONG_READ.total_seconds()
        return tuple(
            each
            for each in found
            if (each.age is not None and each.age > LONG_READ)
            or (each.age is None and (is_new_here or self._is_old(each.transaction, now)))
        )

    def _is_old(self, transaction: str, now: float) -> bool:
        return now - self.first_seen[transaction] >= LONG_READ.total_seconds()


class Standby:
    """One standby of HOLDFAST_STANDBYS, connected to when it is first asked."""

    def __init__(self, url: str, *, report: Report) -> None:
        parts = split_url(url)
        self.name = f"{','.join(hosts(parts.address)) or 'local'}:{parts.address.port or 5432}"
        more = {
            "password": parts.password,
            "sslmode": parts.sslmode,
            "sslrootcert": parts.sslrootcert,
        }
        self._arguments = {**arguments_of(parts.address), **{k: v for k, v in more.items() if v}}
        self._connection: psycopg.Connection | None = None
        self._watched = TablesWatched()
        self._report = report
        self._has_told = False

    def in_the_way(self, tables: list[QualifiedName], target: str | None) -> tuple[Blocker, ...]:
        """Say who reads these tables there for long, or that it is behind. A failure to ask is reported."""
        try:
            connection = self._connected()
            state = replay(connection, target=target)
            if not state.is_standby:
                return ()
            if self._is_behind(state):
                return (behind(self.name),)
            found = self._watched.are_old(readers(connection, tables))
        except psycopg.Error as error:
            self.close()
            if not self._has_told:
                self._has_told = True
                problem = str(error).strip().partition("\n")[0]
                self._report(StandbyNotAsked(standby=self.name, problem=problem))
            return ()
        return tuple(self._blocker(each) for each in found)

    def look(self) -> ReadingOnStandby:
        """Find out what the standby does to its readers. Raises psycopg.Error."""
        return reading(self._connected())

    def close(self) -> None:
        """End the connection to this standby. A second call does nothing."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _is_behind(self, state: ReplayState) -> bool:
        return not state.has_passed or (state.lag is not None and state.lag > LAG)

    def _connected(self) -> psycopg.Connection:
        if self._connection is None:
            self._connection = psycopg.connect(
                **{"connect_timeout": 5, "options": LIMITS, **self._arguments},  # type: ignore[arg-type]  # as libpq takes them
                autocommit=True,
                application_name="holdfast",
            )
        return self._connection

    def _blocker(self, reader: StandbyReader) -> Blocker:
        return Blocker(
            kind=BlockerKind.IDLE_IN_TRANSACTION
            if (reader.state or "").startswith("idle in transaction")
            else BlockerKind.SESSION,
            transaction=reader.transaction,
            pid=reader.pid,
            who=reader.who,
            relation=reader.relation,
            mode=reader.mode,
            since=reader.since,
            query=shown_query(reader.query),
            standby=self.name,
        )


def behind(name: str) -> Blocker:
    """Give the blocker that stands for a standby which has not replayed enough."""
    return Blocker(
        kind=BlockerKind.STANDBY,
        transaction=name,
        pid=None,
        who=name,
        relation="",
        mode="",
        since=None,
        standby=name,
    )
