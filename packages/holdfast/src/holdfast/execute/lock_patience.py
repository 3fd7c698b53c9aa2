"""Gets a migration its locks without making users wait: try for 10 ms, give everything back, pause, try again.

The longest stall of live traffic is the lock_timeout, because whoever wants the table queues behind the one who
waits. So the timeout is short and the tries are many; while a unit holds a lock that blocks users, the next
lock gets 1 ms. Only an autovacuum gets one longer try, since it yields to nothing shorter than
deadlock_timeout. The manual: lock_timeout, deadlock_timeout.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from random import uniform
from time import monotonic, sleep
from typing import TypeVar

from sqlalchemy import text

from holdfast.errors import HoldfastError
from holdfast.errors.light_dataclass import changed
from holdfast.errors.locks import (
    EndedOnHandedConnection,
    KeepsUsersWaiting,
    LockNotFree,
    NobodyWatched,
    TableIsLocked,
)
from holdfast.errors.sqlstate import DEADLOCK_DETECTED, LOCK_NOT_AVAILABLE
from holdfast.execute.lock_budget import LOCK_BUDGET
from holdfast.execute.progress import AutovacuumIsCancelled, LockBusy, Report, UsersWaited
from holdfast.execute.session import MigrationSession
from holdfast.execute.standbys import StandbyInTheWay
from holdfast.execute.verdict import EndedByGuard, GuardVerdict, Reason
from holdfast.observe.blockers import Blocker, BlockerKind, blockers_of, row_holders
from holdfast.rewrite.locks import LOCK_WHILE_HOLDING, Lock, LockMode
from holdfast.rewrite.names import QualifiedName

log = logging.getLogger(__name__)

Result = TypeVar("Result")

TRY_AGAIN = (LOCK_NOT_AVAILABLE, DEADLOCK_DETECTED)
USERS_WAIT_AT_MOST = 5  # times for one unit: then it is refused
# So often a revision without long statements is tried in one transaction; then it takes one table after the other.
TRIES_AS_ONE = 10

FIRST_LOCK = timedelta(milliseconds=10)
MARGIN = timedelta(milliseconds=5)  # lock_timeout comes first, where it may be set
PAUSE = (timedelta(milliseconds=20), timedelta(milliseconds=200))
BRIEF_DEADLOCK_CHECK = timedelta(milliseconds=50)
# What does not give way to one longer try may be one against wraparound: not every try may be long.
BETWEEN_LONGER_TRIES = timedelta(seconds=10)

CURRENT_DEADLOCK_TIMEOUT = text(
    "SELECT extract(epoch FROM current_setting('deadlock_timeout')::interval)"
)
BECAUSE = {
    Reason.LOCK: "a lock that it wanted was not free, and users would have waited behind it",
    Reason.SILENCE: "nobody watched any more whether users wait for it",
}
# In one round trip, because users wait meanwhile.
LOCK_VERSION_ROWS = """
DO $holdfast$ DECLARE before CONSTANT text := current_setting('lock_timeout'); BEGIN
  PERFORM set_config('lock_timeout', '10ms', true);
  LOCK TABLE {table} IN ROW EXCLUSIVE MODE;
  PERFORM 1 FROM {table} FOR UPDATE;
  PERFORM set_config('lock_timeout', before, true);
END $holdfast$
"""
# What is SET LOCAL behind it holds on the workers too, until the transaction ends.
PROPAGATE = text("SELECT set_config('citus.propagate_set_commands', 'local', true)")
MAY_SET_DEADLOCK_TIMEOUT = text("SELECT has_parameter_privilege('deadlock_timeout', 'SET')")


@dataclass(frozen=True, slots=True, kw_only=True)
class LockTimeouts:
    """How long one try may wait for its first lock, and how soon the server looks for deadlocks."""

    lock: timedelta = FIRST_LOCK
    deadlock: timedelta | None = None

    def apply(self, session: MigrationSession, *, users_may_wait: bool = False) -> None:
        """Set the timeouts for the transaction that is open or about to open, which is watched from now on."""
        if session.has_event_triggers():
            watch_anything(session, users_may_wait=users_may_wait)
            return
        session.watch(own_wait=self.lock + MARGIN, users_may_wait=users_may_wait)
        if not users_may_wait:
            session.be_brief()
        set_local(session, "lock_timeout", self.lock)
        if self.deadlock is not None:
            set_local(session, "deadlock_timeout", self.deadlock)


@dataclass(kw_only=True)
class LockPatience:
    """Tries units until their locks are free, within one shared budget of time."""

    session: MigrationSession
    report: Report
    budget: timedelta = LOCK_BUDGET

    def run(
        self,
        unit: Callable[[LockTimeouts], Result],
        *,
        what: str,
        locks: Callable[[], tuple[Lock, ...]],
        rows_of: QualifiedName | None = None,
    ) -> Result:
        """Call `unit` until it gets its locks. It works in a transaction, which it leaves open or commits.

        `locks` tells, after a failure, what the unit wanted; it is asked once everything is rolled back. `rows_of` is
        the table of which it writes rows.
        Raises LockNotFree, naming the blockers, when the budget is spent.
        """
        limit = monotonic() + self.budget.total_seconds()
        timeouts = LockTimeouts()
        tries = users_waited = 0
        before: tuple[Blocker, ...] = ()
        no_longer_try_until = 0.0
        while True:
            try:
                return unit(timeouts)
            except Exception as error:
                state = self.session.state_of(error)  # before more is said on the connection
                verdict = self._roll_back(error)
                is_refusal = _is_refusal(error)  # whatever has led to it
                if is_refusal or (verdict is None and state not in TRY_AGAIN):
                    raise
                tries += 1
                blockers: tuple[Blocker, ...] = ()
                if verdict is not None and verdict.reason is Reason.USERS:
                    users_waited += 1
                    self.report(UsersWaited(what=what, tries=users_waited, verdict=verdict))
                    refuse_to_keep_users_waiting(what, users_waited, verdict)
                elif verdict is not None and verdict.reason is Reason.SILENCE:
                    self.report(UsersWaited(what=what, tries=tries, verdict=verdict))
                else:
                    blockers = _on_standbys(error) or self._blockers(
                        _wanted(locks(), verdict, error), rows_of=rows_of
                    )
                    self.report(LockBusy(what=what, tries=tries, blockers=blockers))
                if monotonic() > limit:
                    is_silence = verdict is not None and verdict.reason is Reason.SILENCE
                    raise _given_up(
                        what, tries, self.budget, blockers, is_silence=is_silence
                    ) from error
                _pause()
                timeouts = LockTimeouts()
                if monotonic() > no_longer_try_until and _only_autovacuum_lasts(blockers, before):
                    timeouts = self._longer(what)
                    no_longer_try_until = monotonic() + BETWEEN_LONGER_TRIES.total_seconds()
                before = blockers

    def once(self, unit: Callable[[LockTimeouts], Result]) -> Result | None:
        """Call `unit` once; give None, after a rollback, if a lock was not free or users waited for it."""
        try:
            return unit(LockTimeouts())
        except Exception as error:
            state = self.session.state_of(error)
            verdict = self._roll_back(error)
            if _is_refusal(error) or (verdict is None and state not in TRY_AGAIN):
                raise
            return None

    def _roll_back(self, error: Exception) -> GuardVerdict | None:
        """Roll back and give the guard's verdict, if any. Raises EndedByGuard if the connection is gone."""
        guard = self.session.guard
        try:
            self.session.rollback()
        except Exception:
            log.debug("the connection was lost", exc_info=True)
            verdict = None if guard is None else guard.take_verdict()
            if verdict is None:
                raise error from None
        else:
            verdict = None if guard is None else guard.take_verdict()
        if verdict is None and isinstance(error, EndedByGuard):
            verdict = error.verdict  # of another connection's guard
        # Whoever has ended it: of two that end it at once one alone is heard.
        if verdict is not None and (verdict.is_terminated or self.session.is_lost):
            raise EndedByGuard(changed(verdict, is_terminated=True)) from error
        return verdict

    def _blockers(
        self, locks: tuple[Lock, ...], *, rows_of: QualifiedName | None
    ) -> tuple[Blocker, ...]:
        connection = self.session.connection
        try:
            here = blockers_of(connection, locks)
            if not here and rows_of is not None:
                here = row_holders(connection, rows_of, at_least=FIRST_LOCK)
            there = self._blockers_on_workers(locks)
            pids = {each.pid for each in here}
            return (*here, *(each for each in there if each.pid not in pids))
        finally:
            self.session.commit()

    def _blockers_on_workers(self, locks: tuple[Lock, ...]) -> tuple[Blocker, ...]:
        if not self.session.is_citus:
            return ()
        from holdfast.observe.citus import blockers_on_workers  # loads the parser

        return blockers_on_workers(self.session.connection, locks)

    def _longer(self, what: str) -> LockTimeouts:
        """Give a wait that is long enough for the server to cancel an autovacuum that is in the way."""
        may_set = self.session.execute(MAY_SET_DEADLOCK_TIMEOUT).scalar_one()
        seconds = self.session.execute(CURRENT_DEADLOCK_TIMEOUT).scalar_one()
        self.session.commit()
        if may_set:
            timeouts = LockTimeouts(lock=10 * BRIEF_DEADLOCK_CHECK, deadlock=BRIEF_DEADLOCK_CHECK)
        else:
            timeouts = LockTimeouts(lock=timedelta(seconds=float(seconds)) + 10 * FIRST_LOCK)
        self.report(AutovacuumIsCancelled(what=what, lock_timeout=timeouts.lock))
        return timeouts


@dataclass(kw_only=True)
class LockWaits:
    """How long the transaction of a revision's function waits for its locks, and which it has wanted so far."""

    session: MigrationSession
    timeouts: LockTimeouts  # of this try
    of_rows: timedelta  # the session's own
    tries: int  # in vain, before this one
    wanted: tuple[Lock, ...] = ()
    _in_force: LockTimeouts | None = field(default=None, init=False)

    def for_locks(
        self, locks: tuple[Lock, ...], *, holds: bool, users_may_wait: bool = False
    ) -> None:
        """Prepare for a statement that takes these locks: a short wait while one that blocks users is held."""
        if not locks and not self.session.has_event_triggers():
            return
        self.wanted += locks
        self.session.require_free_on_standbys(locks)
        timeouts = replace(self.timeouts, lock=LOCK_WHILE_HOLDING if holds else self.timeouts.lock)
        if timeouts != self._in_force or users_may_wait:
            timeouts.apply(self.session, users_may_wait=users_may_wait)
            self._in_force = timeouts

    def for_anything(self, *, users_may_wait: bool = False) -> None:
        """Prepare for a statement whose effect cannot be known."""
        watch_anything(self.session, users_may_wait=users_may_wait)
        self._in_force = LockTimeouts(lock=timedelta())

    def for_rows(self) -> None:
        """Restore the session's own lock_timeout: a short one would also apply to row locks."""
        self.session.watch(own_wait=FIRST_LOCK, ends_when_idle=False)
        if self._in_force is not None:
            set_local(self.session, "lock_timeout", self.of_rows)
            self._in_force = None

    def is_in_vain(self, locks: tuple[Lock, ...]) -> bool:
        """Whether several tables were wanted at once many times and never free together."""
        return self.tries >= TRIES_AS_ONE and len({lock.relation for lock in locks}) > 1

    def forget(self) -> None:
        """Forget the timeouts that were set: they have ended with their transaction."""
        self._in_force = None


@dataclass(kw_only=True)
class NewConnections:
    """Counts how often the guard has ended a connection, after which the work goes on on a new one.

    Five times because users waited, or for as long as the budget lasts: then it is refused. What is committed in
    between begins a new count.
    """

    budget: timedelta
    report: Report
    _at: object = None
    _since: float = 0.0
    _tries: int = 0
    _users_waited: int = 0

    def ended(self, what: str, verdict: GuardVerdict, *, at: object = None) -> None:
        """Report it, and pause. `at`: how far the work was, another value for every commit.

        Raises KeepsUsersWaiting, NobodyWatched or LockNotFree where it was tried often, or long, enough.
        """
        if self._tries == 0 or at != self._at:
            self._at, self._since, self._tries, self._users_waited = at, monotonic(), 0, 0
        self._tries += 1
        self._users_waited += verdict.reason is Reason.USERS
        self.report(UsersWaited(what=what, tries=self._tries, verdict=verdict))
        refuse_to_keep_users_waiting(what, self._users_waited, verdict)
        if monotonic() - self._since > self.budget.total_seconds():
            is_silence = verdict.reason is Reason.SILENCE
            raise _given_up(what, self._tries, self.budget, (), is_silence=is_silence)
        _pause()


def ended_for_good(what: str, verdict: GuardVerdict) -> HoldfastError:
    """Turn the guard's end into an error: on a connection of the caller's nothing is repeated."""
    if verdict.reason is not Reason.USERS:
        return EndedOnHandedConnection(what_for=what, because=BECAUSE[verdict.reason])
    return kept_users_waiting(what, tries=1, verdict=verdict)


def _pause() -> None:
    sleep(uniform(*(pause.total_seconds() for pause in PAUSE)))  # noqa: S311  # jitter


def _given_up(
    what: str,
    tries: int,
    waited: timedelta,
    blockers: tuple[Blocker, ...],
    *,
    is_silence: bool,
) -> LockNotFree | NobodyWatched:
    """Give the error at the end of the budget, for what the last try failed at."""
    if is_silence:
        return NobodyWatched(what_for=what, tries=tries, waited=waited)
    return LockNotFree(
        what_for=what,
        tries=tries,
        waited=waited,
        blockers=_named(blockers),
        ways_out=_ways_out(blockers),
    )


def lock_version_rows(session: MigrationSession, table: QualifiedName) -> None:
    """Lock the version row while this can be repeated: under locks that block users it must not be waited for.

    Afterwards the lock_timeout is as before: a deferred trigger may run at COMMIT, and catch one.
    """
    session.execute_sql(LOCK_VERSION_ROWS.format(table=table))


def watch_anything(session: MigrationSession, *, users_may_wait: bool = False) -> None:
    """Watch a statement whose effect cannot be known: a DO block, a function, DDL with event triggers.

    A lock_timeout would be an error inside its body, which may catch it and lose the change; the guard's is none.
    Behind a pooler there is no guard, and no such body: what is left is a write of rows.
    """
    session.watch(own_wait=FIRST_LOCK, users_may_wait=users_may_wait)
    set_local(session, "lock_timeout", FIRST_LOCK if session.is_pooled else timedelta())


def set_local(session: MigrationSession, name: str, value: timedelta) -> None:
    """Set a duration with SET LOCAL; on Citus for the workers too, which set_config() does not reach."""
    milliseconds = str(round(value.total_seconds() * 1000))
    if session.is_citus:
        session.execute(PROPAGATE)
        session.execute_sql(f"SET LOCAL {name} = {milliseconds}")
        return
    session.execute(
        text("SELECT set_config(:name, :value, true)"), {"name": name, "value": milliseconds}
    )


def _on_standbys(error: Exception) -> tuple[Blocker, ...]:
    return error.blockers if isinstance(error, StandbyInTheWay) else ()


def _is_refusal(error: Exception) -> bool:
    return isinstance(error, HoldfastError) and not isinstance(error, TableIsLocked)


def _wanted(
    locks: tuple[Lock, ...], verdict: GuardVerdict | None, error: Exception
) -> tuple[Lock, ...]:
    """Say which locks were wanted: of an opaque statement only the guard has seen them; a question's error tells."""
    seen = verdict.wanted if verdict is not None else None
    if isinstance(error, TableIsLocked):
        return tuple(
            Lock(mode=LockMode.ACCESS_SHARE, relation=QualifiedName(schema=schema, name=name))
            for schema, name in zip(error.schemas, error.names, strict=True)
        )
    return locks if seen is None else (*locks, seen)


def refuse_to_keep_users_waiting(what: str, tries: int, verdict: GuardVerdict) -> None:
    """Raise KeepsUsersWaiting if it was tried often enough."""
    if tries >= USERS_WAIT_AT_MOST:
        raise kept_users_waiting(what, tries=tries, verdict=verdict)


def kept_users_waiting(what: str, *, tries: int, verdict: GuardVerdict) -> KeepsUsersWaiting:
    """Give the error that says what was held, for whom and how long."""
    return KeepsUsersWaiting(
        what_for=what,
        tries=tries,
        held=verdict.held,
        who=verdict.who,
        wanted="a row" if verdict.wanted is None else str(verdict.wanted.relation),
        waited=verdict.waited,
    )


def _only_autovacuum_lasts(blockers: tuple[Blocker, ...], before: tuple[Blocker, ...]) -> bool:
    """Whether only an autovacuum was in the way at both tries; on a busy table some user always is."""
    seen = {blocker.transaction for blocker in before}
    lasting = [blocker.kind for blocker in blockers if blocker.transaction in seen]
    return bool(lasting) and set(lasting) == {BlockerKind.AUTOVACUUM}


def _named(blockers: tuple[Blocker, ...]) -> str:
    return "; ".join(map(str, blockers)) or "nobody who still holds it now"


def _ways_out(blockers: tuple[Blocker, ...]) -> str:
    return "; ".join(blocker.way_out for blocker in blockers) or "look at pg_locks while it runs"
