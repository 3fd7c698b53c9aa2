"""How long the transaction of a revision's function waits for a lock, and which locks it has wanted so far."""

from dataclasses import dataclass, field, replace
from datetime import timedelta

from holdfast.execute.lock_patience import (
    FIRST_LOCK,
    LockTimeouts,
    set_local,
    watch_anything,
)
from holdfast.execute.session import MigrationSession
from holdfast.rewrite.locks import LOCK_WHILE_HOLDING, Lock

# So often a revision without long statements is tried in one transaction; then it takes one table after the other.
TRIES_AS_ONE = 10


@dataclass(kw_only=True)
class LockWaits:
    """Sets lock_timeout where it has to change."""

    session: MigrationSession
    timeouts: LockTimeouts  # of this try
    of_rows: timedelta  # the session's own
    tries: int  # in vain, before this one
    wanted: tuple[Lock, ...] = ()
    _in_force: LockTimeouts | None = field(default=None, init=False)

    def for_locks(
        self, locks: tuple[Lock, ...], *, holds: bool, users_may_wait: bool = False
    ) -> None:
        """Before a statement that takes these; a short wait under a lock that blocks users."""
        if not locks and not self.session.has_event_triggers():
            return
        self.wanted += locks
        self.session.require_free_on_standbys(locks)
        timeouts = replace(self.timeouts, lock=LOCK_WHILE_HOLDING if holds else self.timeouts.lock)
        if timeouts != self._in_force or users_may_wait:
            timeouts.apply(self.session, users_may_wait=users_may_wait)
            self._in_force = timeouts

    def for_anything(self, *, users_may_wait: bool = False) -> None:
        """Before a statement that nobody can look into."""
        watch_anything(self.session, users_may_wait=users_may_wait)
        self._in_force = LockTimeouts(lock=timedelta())

    def for_rows(self) -> None:
        """The session's own wait again: a short one would count for row locks too."""
        self.session.watch(own_wait=FIRST_LOCK, ends_when_idle=False)
        if self._in_force is not None:
            set_local(self.session, "lock_timeout", self.of_rows)
            self._in_force = None

    def is_in_vain(self, locks: tuple[Lock, ...]) -> bool:
        """Whether several tables at once were wanted many times and never free together."""
        return self.tries >= TRIES_AS_ONE and len({lock.relation for lock in locks}) > 1

    def forget(self) -> None:
        """Forget what was set: it has ended with its transaction."""
        self._in_force = None
