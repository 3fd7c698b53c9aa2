"""Errors in electing the one process that migrates: by a lock, by a lease, or through a pooler."""

from datetime import timedelta

from holdfast.errors import HoldfastError
from holdfast.errors.light_dataclass import light_error


@light_error
class BehindPooler(HoldfastError):
    """The migration's connection goes through a connection pooler."""

    direct: str = "postgresql://USER@HOST:5432/DATABASE"  # as far as the pooled address tells it
    what = "This database is reached through a connection pooler; nothing was migrated."
    why = (
        "A pooler can give the lock that keeps two migrators apart to both of them, and hands the "
        "migration's session settings to the application's connections."
    )
    remedy = (
        "Name the server itself for migrations; the application keeps the pooler:"
        " HOLDFAST_MIGRATION_URL={direct} (an env.py with an engine of its own: the URL that it uses)."
        " Where there is no way past it: HOLDFAST_POOLER=transaction migrates through it, with a lease and without"
        " the guard"
    )


@light_error
class RoleHasLimits(HoldfastError):
    """The role has timeouts that would end long steps, and behind a pooler they cannot be lifted."""

    role: str
    limits: str  # such as "statement_timeout"
    resets: str  # what lifts them
    what = "{role} has limits of its own ({limits}), which this run cannot lift through a pooler; nothing was migrated."
    why = (
        "They would end every long build of an index half-way; and a SET for the session would"
        " reach the application's transactions."
    )
    remedy = (
        "Migrate as a role without them ({resets}), or past the pooler:"
        " HOLDFAST_MIGRATION_URL=postgresql://USER@HOST:5432/DATABASE"
    )


@light_error
class CannotLease(HoldfastError):
    """A run through a pooler that would not be safe."""

    reason: str
    what = "This run goes through a connection pooler and would not be safe; nothing was migrated: {reason}."
    why = (
        "Through a pooler a lease stands in for the migration lock, and there is no guard: nobody would end a"
        " function or a DO block for which users wait."
    )
    remedy = "Name the server itself for migrations: HOLDFAST_MIGRATION_URL=postgresql://USER@HOST:5432/DATABASE"


@light_error
class SettingsNeedSession(HoldfastError):
    """A step outside a transaction needs settings, and a pooler is in between."""

    names: str
    what = "A step that cannot run in a transaction needs session settings ({names}), and a pooler is in between."
    why = "SET LOCAL ends with a transaction, and a SET for the session would reach the application's sessions."
    remedy = (
        "Give them to the role (ALTER ROLE .. SET ..) instead of setting them, or run past the pooler:"
        " HOLDFAST_MIGRATION_URL=postgresql://USER@HOST:5432/DATABASE. Then go on: {again}"
    )


@light_error
class LeaseNotRenewed(HoldfastError):
    """The lease of a run through a pooler was not renewed, so another process may have taken it."""

    what = "The lease on migrations of this database could not be renewed; the run stopped before its next step."
    why = (
        "Another process can take a lease that was not renewed for 20 s, and may be migrating now."
    )
    remedy = "What was committed stays. Run again to go on: {again}"


@light_error
class AnotherMigratorIsStillAtWork(HoldfastError):
    """Another process held the migration lock for longer than this one waits."""

    holder: str
    waited: timedelta
    what = "Another process is migrating this database: {holder}. Nothing was done here."
    why = "Only one process migrates at a time; this one waited {waited} for it to end."
    remedy = (
        "Let it finish and run again: {again}. `holdfast status` shows how far it is. If it is "
        "stuck, end that session with SELECT pg_terminate_backend(pid)."
    )


@light_error
class LeadershipLost(HoldfastError):
    """The connection that held the migration lock is gone."""

    what = "The connection that holds the migration lock was lost; the run stopped before its next step."
    why = "Without the lock another process may migrate at the same time."
    remedy = "What was committed stays. Run again to go on: {again}"


@light_error
class TakenOver(HoldfastError):
    """Another process has become the migrator while this one was at work."""

    ours: int
    found: str  # in holdfast.leader
    what = "Another process is migrating this database now; this one has stopped; uncommitted work is undone."
    why = (
        "The connection that held the migration lock was ended (by an administrator, a proxy, a"
        " failover), so another process was elected: the epoch in holdfast.leader is {found}, that of"
        " this process is {ours}."
    )
    remedy = "What is done is recorded, and the other process goes on with it. Look at it: holdfast status"
