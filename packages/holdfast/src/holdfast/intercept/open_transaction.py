"""The transaction that a revision's function has open: what it holds, and how long it waits for more."""

from dataclasses import dataclass, field, replace
from datetime import timedelta

from holdfast.execute.lock_patience import (
    FIRST_LOCK,
    LOCK_WHILE_HOLDING,
    LockTimeouts,
    set_local,
    watch_anything,
)
from holdfast.execute.session import MigrationSession
from holdfast.rewrite.locks import Lock

# So often a revision without long statements is tried in one transaction; then it takes one table after the other.
TRIES_AS_ONE = 10


@dataclass(kw_only=True)
class OpenTransaction:
    """Forgotten at each commit and rollback, but for what the function has wanted so far."""

    session: MigrationSession
    timeouts: LockTimeouts  # of this try
    lock_timeout_of_rows: timedelta
    tries: int  # in vain, before this one
    holds: bool = False  # a lock that blocks users
    wrote: bool = False  # rows of a table that was there before
    has_done_something: bool = False
    wanted: tuple[Lock, ...] = ()
    _in_force: LockTimeouts | None = field(default=None, init=False)

    def wait_for(self, locks: tuple[Lock, ...], *, users_may_wait: bool = False) -> None:
        """Set the lock_timeout for a statement that takes these."""
        if not locks and not self.session.has_event_triggers():
            return
        self.wanted += locks
        lock = LOCK_WHILE_HOLDING if self.holds else self.timeouts.lock
        self._use(replace(self.timeouts, lock=lock), users_may_wait=users_may_wait)

    def holds_now(self, locks: tuple[Lock, ...]) -> None:
        """Remember whether one of them blocks users."""
        self.holds = self.holds or any(lock.mode.blocks_users for lock in locks)

    def wait_for_anything(self, *, users_may_wait: bool = False) -> None:
        """For a statement that nobody can look into: assume a lock."""
        watch_anything(self.session, users_may_wait=users_may_wait)
        self._in_force = LockTimeouts(lock=timedelta())
        self.holds = True

    def wait_for_rows(self) -> None:
        """Set the session's own lock_timeout again: a short one would count for row locks too."""
        self.session.watch(own_wait=FIRST_LOCK, ends_when_idle=False)
        if self._in_force is not None:
            set_local(self.session, "lock_timeout", self.lock_timeout_of_rows)
            self._in_force = None

    def divides(self, locks: tuple[Lock, ...]) -> bool:
        """Whether a second table is wanted under the lock on a first, and has been in vain many times."""
        held = {lock.relation for lock in self.wanted}
        return (
            self.tries >= TRIES_AS_ONE
            and self.holds
            and any(lock.relation not in held for lock in locks)
        )

    def forget(self) -> None:
        """It has ended."""
        self.holds = self.wrote = self.has_done_something = False
        self._in_force = None

    def _use(self, timeouts: LockTimeouts, *, users_may_wait: bool) -> None:
        if timeouts != self._in_force or users_may_wait:
            timeouts.apply(self.session, users_may_wait=users_may_wait)
            self._in_force = timeouts
