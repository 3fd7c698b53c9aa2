"""Errors of waiting: for locks, for the builds of others, and of the guard that keeps users from waiting."""

from datetime import timedelta

from holdfast.errors import HoldfastError
from holdfast.errors.light_dataclass import light_error
from holdfast.errors.sqlstate import LOCK_NOT_AVAILABLE


@light_error
class LockNotFree(HoldfastError):
    """A lock was not free within the budget."""

    what_for: str
    tries: int
    waited: timedelta
    blockers: str
    ways_out: str
    what = "No lock within {waited} ({tries} short tries) for: {what_for}"
    why = "In the way: {blockers}. Users were let through first each time; nothing is held now."
    remedy = "Run again when it is gone: {again}. To make room: {ways_out}"


@light_error
class KeepsUsersWaiting(HoldfastError):
    """Users had to wait for a transaction of the migration, each time that it was tried."""

    what_for: str
    tries: int
    held: str
    who: str
    wanted: str
    waited: timedelta
    exit_status = 1
    what = "Given up after {tries} tries, because users waited for it: {what_for}"
    why = (
        "It held {held} while {who} wanted {wanted}, and was ended when that had waited for {waited}."
        " Nothing of the last try is left, and nothing is held now."
    )
    remedy = (
        "Write what takes long outside of the transaction that holds the lock, or in a revision of its"
        " own. Or, if users may wait for it, allow it in a comment on its line:"
        " {comment} holdfast: allow REASON until YYYY-MM-DD"
    )


@light_error
class NobodyWatched(HoldfastError):
    """The connection that watches whether users wait did not answer, each time a unit was tried."""

    what_for: str
    tries: int
    waited: timedelta
    what = "Given up after {tries} tries in {waited}, because nobody was watching whether users wait for it: {what_for}"
    why = (
        "The second connection of the run, which looks whether users wait, was lost or silent each time: the server"
        " has too much to do, or somebody ends that connection. Nothing of the last try is left, and nothing is held"
        " now; what was committed before stays and is recorded."
    )
    remedy = "See what keeps the server busy, or who ends sessions (its log says it). Then go on: {again}"


@light_error
class EndedOnHandedConnection(HoldfastError):
    """The guard has ended a transaction on a connection that the caller handed in, where nothing is tried again."""

    what_for: str
    because: str
    what = "Ended, and not tried again on a connection that was handed in: {what_for}"
    why = (
        "It was ended because {because}. Only the owner of the connection in config.attributes can make"
        " a new one. Nothing of this try is left; what was committed before stays and is recorded."
    )
    remedy = "Call it again, on a new connection; or on the command line: {again}"


@light_error
class NoGuard(HoldfastError):
    """The second connection, which watches whether users wait, could not be made."""

    problem: str
    what = "No second connection to this database, and nothing is executed without one: {problem}"
    why = (
        "That connection watches whether users wait for the migration. A run needs three: its own, one"
        " that holds the migration lock, one that watches; at times it has up to three more. A revision that"
        " uses another connection of its engine needs one that watches over that, too."
    )
    remedy = (
        "Make room for six: ALTER ROLE ... CONNECTION LIMIT, max_connections. `holdfast doctor` says"
        " what is there. Then go on: holdfast run"
    )


@light_error
class GuardMayNotCancel(HoldfastError):
    """The role of the guard may not end what the migration's session executes."""

    role: str
    of: str  # the role that the migration's session has logged in as
    what = "Role {role} may not cancel what role {of} executes, and nothing is executed where nobody may."
    why = (
        "A second connection, which watches whether users wait for the migration, ends what they wait for"
        " (pg_cancel_backend, pg_terminate_backend)."
    )
    remedy = (
        "Let env.py connect as one role each time, and give that both functions: GRANT EXECUTE ON FUNCTION"
        " pg_cancel_backend(integer), pg_terminate_backend(integer, bigint) TO {role}; Then go on: {again}"
    )


@light_error
class TableIsLocked(HoldfastError):
    """A table could not be examined because somebody has it locked. A run tries again within its budget."""

    tables: tuple[str, ...]  # one of these, as SQL writes them
    schemas: tuple[str, ...]
    names: tuple[str, ...]
    sqlstate = LOCK_NOT_AVAILABLE
    what = "Somebody has locked a table, so that nothing can be found out about it: {tables}."
    why = "The steps depend on what is in the table. Nothing was changed."
    remedy = (
        "See who it is: SELECT pid, usename, query FROM pg_stat_activity JOIN pg_locks USING (pid)"
        " WHERE mode = 'AccessExclusiveLock'; wait until it has ended, or end it. Then again: {again}"
    )


@light_error
class WaitedTooLong(HoldfastError):
    """A build or a validation has waited for other transactions until the budget was spent."""

    step: str
    waited: timedelta
    waits_for: tuple[str, ...]
    what = "It still waits for others after {waited}, and was ended: {step}"
    why = "It waits for: {waits_for}. No user waited for it meanwhile."
    remedy = (
        "Make room in the way that is named for each, or wait until they have ended. Then run again, which cleans up "
        "and does the step anew: {again}"
    )


@light_error
class StillBuilding(HoldfastError):
    """Another session builds an index that has to be ours, and did not end within the budget."""

    step: str
    builder: int
    waited: timedelta
    what = "After {waited} process {builder} still builds an index of this table: {step}"
    why = (
        "A migrator that was killed leaves its backend at work, or somebody builds by hand. Only when that has ended"
        " is it known what is left of it. Nothing was changed meanwhile, and no user waits for it."
    )
    remedy = (
        "Wait until it has ended, or end it: SELECT pg_terminate_backend({builder}). Then run again, which cleans up"
        " and builds anew: {again}"
    )


@light_error
class BuildDeadlocks(HoldfastError):
    """A build without a lock on its table met a deadlock each time that it was tried."""

    step: str
    tries: int
    what = "Given up after {tries} deadlocks: {step}"
    why = (
        "A build waits for transactions that are older than it, and one of them wanted a lock that the build holds:"
        " an ANALYZE or VACUUM of the table, another build, a change of it. The server has ended the build each time;"
        " what it left is removed."
    )
    remedy = (
        "The server's log names both sides of a deadlock: let the other one end, or run at another time."
        " Then: {again}"
    )
