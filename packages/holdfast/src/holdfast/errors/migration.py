"""Errors of a project, its revisions and the database that they are for."""

from datetime import timedelta

from holdfast.errors import HoldfastError
from holdfast.errors.light_dataclass import light_error
from holdfast.errors.sqlstate import LOCK_NOT_AVAILABLE


@light_error
class UnknownConfiguration(HoldfastError):
    """No Alembic project was found where one was looked for."""

    looked_in: str
    exit_status = 2
    what = "No Alembic project found: looked in {looked_in}."
    why = (
        "A project is an alembic.ini, Flask-Migrate's migrations/alembic.ini, or a pyproject.toml with"
        " [tool.alembic] or [tool.holdfast]."
    )
    remedy = "Run in the folder of the project, or name the file: holdfast -c path/to/alembic.ini"


@light_error
class UnknownSection(HoldfastError):
    """The ini file has no section of this name."""

    file: str
    section: str
    found: tuple[str, ...]  # those that name a project
    named: str  # one of them
    exit_status = 2
    what = "{file} has no section [{section}]."
    why = "The section says where the revisions are, and often which database to use. The file has these: {found}."
    remedy = "Name the one you mean: holdfast -n {named} status"


@light_error
class NothingMigrated(HoldfastError):
    """The project's env.py came to its end without migrating anything."""

    env: str
    exit_status = 2
    what = "{env} has not called context.run_migrations() for any database."
    why = "The database of a project is the one that its env.py connects to when it migrates."
    remedy = "See what env.py requires before that: a variable, -x, or names after `databases =` in alembic.ini."


@light_error
class NoFlaskApplication(HoldfastError):
    """The env.py of Flask-Migrate needs the Flask application, which was not found."""

    env: str
    said: str
    exit_status = 2
    what = "The Flask application of {env} was not found: {said}"
    why = "That env.py takes the database and the models from the application, as `flask db` does."
    remedy = "Run where `flask db current` works, or name the application: export FLASK_APP=package:create_app"


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


@light_error
class UnknownLayout(HoldfastError):
    """The schema holdfast was made by another version."""

    found: str
    known: str
    what = "The schema holdfast in this database has the layout '{found}'; this version knows '{known}'."
    why = "Another version of holdfast made it, or it does not belong to holdfast."
    remedy = (
        "Run the version of holdfast that made it, or newer. If the schema is not holdfast's, rename "
        "it: ALTER SCHEMA holdfast RENAME TO ..."
    )


@light_error
class NoRightToCreateSchema(HoldfastError):
    """The migration's role may not create the schema holdfast."""

    role: str
    database: str
    what = "Role {role} may not create the schema holdfast in database {database}; nothing was migrated."
    why = "holdfast keeps its history and its journal in tables of that schema."
    remedy = (
        "As an administrator of the database: CREATE SCHEMA IF NOT EXISTS holdfast;"
        " GRANT USAGE, CREATE ON SCHEMA holdfast TO {role}; Then run again: holdfast run"
    )


@light_error
class DatabaseAhead(HoldfastError):
    """The database is at a revision that the project has no file for."""

    revisions: tuple[str, ...]
    exit_status = 4
    what = "The database is at revision {revisions}, and this project has no file for it."
    why = (
        "A newer version of the project has migrated this database, the file was deleted, or this is "
        "the database of another project."
    )
    remedy = (
        "Deploy the version that has the file, or, with that version, take it back first: "
        "holdfast revert --to REVISION"
    )


@light_error
class TwoHeads(HoldfastError):
    """The history ends in more than one revision."""

    heads: tuple[str, ...]
    exit_status = 2
    what = "The history has more than one head: {heads}. Nothing was migrated."
    why = "Two revisions were written on top of the same one, often in two branches of the repository."
    remedy = (
        "Join them in one revision: alembic merge heads. Where all are meant to stay, give each a branch label "
        'and say so: branches = ["one", "other"] in [tool.holdfast], or branches = one other in alembic.ini. '
        "Once: holdfast run --to heads"
    )


@light_error
class WhichHead(HoldfastError):
    """A new revision could follow any of several heads."""

    heads: tuple[str, ...]
    first: str
    exit_status = 2
    what = "The history has more than one head: {heads}. Nothing was written."
    why = "A new revision follows one of them, and its file goes into the folder of that branch."
    remedy = (
        "Say which: holdfast generate NAME --head {first} (or LABEL@head, by a branch's label); if revisions are"
        " in several folders, --version-path FOLDER says in which. To join them: alembic merge heads"
    )


@light_error
class AlembicRefused(HoldfastError):
    """Alembic could not do what was asked."""

    message: str
    what = "Alembic could not do this: {message}"
    why = "The revisions of the project, or the revision that was asked for, do not fit together."
    remedy = "Look at the chain of revisions: alembic history. What is applied: holdfast status"


@light_error
class DatabaseRefused(HoldfastError):
    """The server answered with an error."""

    message: str
    sqlstate: str
    statement: str
    standing: str  # of the revision, or of the command
    way_on: str
    what = "The database answered with an error ({sqlstate}): {message}\nThe statement was: {statement}"
    why = "{standing}"
    remedy = "{way_on}"


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
        " that holds the migration lock, one that watches; at times it has up to three more."
    )
    remedy = (
        "Make room for six: ALTER ROLE ... CONNECTION LIMIT, max_connections. `holdfast doctor` says"
        " what is there. Then go on: holdfast run"
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


@light_error
class DataInTheWay(HoldfastError):
    """Rows that a constraint or a unique index does not allow."""

    revision: str
    step: str
    found: str
    count: int
    examples: tuple[str, ...]
    query: str
    exit_status = 1
    what = (
        "Revision {revision} stopped at: {step}. In the way: {count} {found}, such as {examples}."
    )
    why = "These rows were there before; new ones of that kind may already be refused. Nothing was lost."
    remedy = "Find them: {query}; correct or remove them; then go on where it stopped: {again}"


@light_error
class CopyDisturbed(HoldfastError):
    """Somebody has changed the triggers that keep the copy of a column equal."""

    revision: str
    what = "Revision {revision} stopped before the copy of a column takes its place."
    why = (
        "The triggers that keep the copy equal to the column were changed or switched off meanwhile, or a"
        " trigger that fires after them was created: rows written since may differ."
    )
    remedy = "Give the copy up, which leaves the table as it was: holdfast abandon. Then run again: holdfast run"


@light_error
class PartitionsNotCopied(HoldfastError):
    """A partition that was created or attached during a column copy is one of which no column can be copied."""

    revision: str
    table: str
    reasons: str
    what = "Revision {revision} stopped before the copy of a column of {table} takes its place."
    why = "The partitions are not those it began with. {reasons}"
    remedy = "Correct that, or detach the partition; then run again: {again}. To give the copy up: holdfast abandon"


@light_error
class LeftUnfinished(HoldfastError):
    """A step reported success and left something invalid behind."""

    what_is: str
    step: str
    what = "After the step '{step}' the {what_is} is not valid."
    why = "The server reported success, but another session has interfered meanwhile."
    remedy = "Run again: {again}. It finds the leftover, removes it and starts the step afresh."


@light_error
class LeftBehind(HoldfastError):
    """All steps are done, and an object that they made is not valid."""

    revision: str
    found: tuple[str, ...]
    ways_out: tuple[str, ...]
    what = "All steps of revision {revision} are done, but not all that they made is valid: {found}"
    why = "It was valid when its step ended, so another session has interfered since."
    remedy = "Repair it: {ways_out} Then record it: {again}"


@light_error
class StoppedBetweenSteps(HoldfastError):
    """Ctrl-C or SIGTERM stopped a run between two steps."""

    revision: str
    exit_status = 130
    what = "Stopped between two steps of revision {revision}, as asked."
    why = "Every step so far is recorded; nothing is locked, nothing is half done."
    remedy = "Go on where it stopped: {again}"


@light_error
class StoppedInStep(HoldfastError):
    """The grace period after SIGTERM ended, or Ctrl-C came twice, within a step."""

    revision: str
    exit_status = 130
    what = "Stopped within a step of revision {revision}, as asked: its statement was cancelled."
    why = (
        "The server has undone that statement; every step before it is recorded, nothing is locked."
    )
    remedy = "Go on where it stopped, starting that step again: {again}"


@light_error
class StoppedWhileWaiting(HoldfastError):
    """Ctrl-C or SIGTERM stopped a run that was waiting."""

    what_for: str
    exit_status = 130
    what = "Stopped while it waited, as asked: {what_for}."
    why = "Nothing is locked, nothing is half done; every step before is recorded."
    remedy = "Try again, or go on where it stopped: {again}"


@light_error
class UnfinishedRevision(HoldfastError):
    """Another revision is half-way in this database, so this one was not started."""

    revision: str
    direction: str
    finish: str  # the command
    exit_status = 5
    what = (
        "Revision {revision} ({direction}) is half-way in this database; nothing else was started."
    )
    why = "A run was killed or stopped while its queue was under way; what is done is recorded."
    remedy = (
        "Finish it with the version of the project that began it: {finish}. If it can never finish: "
        "holdfast abandon"
    )


@light_error
class EditedWhileUnfinished(HoldfastError):
    """The file of a revision that is half-way has changed."""

    revision: str
    file: str
    exit_status = 6
    what = "Revision {revision} is half-way, and its file {file} has changed since it was started."
    why = "What is left to do was recorded from the file as it was; the two may not fit together."
    remedy = (
        "Restore the file, finish with {again}, and put the change into a new revision; or give "
        "up the rest: holdfast abandon"
    )


@light_error
class FunctionWasInterrupted(HoldfastError):
    """A function was interrupted after a commit, and cannot be replayed."""

    revision: str
    reason: str
    exit_status = 5
    what = "The last run of revision {revision} was interrupted in its function, and cannot be repeated: {reason}."
    why = (
        "The function reads what it has changed, so a part was committed before the rest was known; "
        "calling it again would do that part twice."
    )
    remedy = (
        "See what is there: holdfast status. Finish or undo it by hand, then holdfast abandon, which "
        "says how to go on"
    )


@light_error
class ReplayMismatch(HoldfastError):
    """A function that was interrupted sends other statements than it did before."""

    revision: str
    sent: str
    expected: str
    exit_status = 5
    what = "Revision {revision} was interrupted, and now sends: {sent}; recorded is: {expected}."
    why = (
        "What it had committed is given back to it by the text of its statements. This one has no "
        "record, while others are left: it depends on a clock, a random value, or data that changed; "
        "or the file was edited before the point of the interruption."
    )
    remedy = (
        "If the file was edited: restore what stood before that point, then {again}. Otherwise "
        "finish or undo by hand what is there (holdfast status), then holdfast abandon, which says "
        "how to go on"
    )


@light_error
class RollbackAfterCommit(HoldfastError):
    """The author of a revision rolls back what is already committed."""

    revision: str
    exit_status = 5
    what = "Revision {revision} rolls back, but a part of what it would undo is already committed."
    why = (
        "It reads what it has changed, so the queued statements had to run and be committed first."
    )
    remedy = (
        "Put the part that may be undone into a revision of its own; then holdfast abandon, which says what is "
        "there and how to go on"
    )


@light_error
class UnknownDatabase(HoldfastError):
    """A database that has tables but no revision."""

    database: str
    relations: int
    exit_status = 2
    what = "Database {database} is not empty (relations: {relations}), but has no revision; nothing was migrated."
    why = "It may be another application's, or it was made without migrations: running all of them would fail."
    remedy = (
        "Say which revision it corresponds to: holdfast baseline REVISION (`base`: none of them). "
        "Then: holdfast run"
    )


@light_error
class LostVersionTable(HoldfastError):
    """The version table is gone, and the history of holdfast knows revisions that were applied."""

    database: str
    table: str
    recorded: tuple[str, ...]
    exit_status = 2
    what = "Database {database} has no table {table} any more; nothing was migrated."
    why = (
        "That table says which revisions are applied. By the history of holdfast the database was at "
        "{recorded}; without the table a run would begin at the first revision, on tables that are there."
    )
    remedy = (
        "If what they made is there, record it again: holdfast baseline {recorded}. If none of it is: "
        "holdfast baseline base. Then: holdfast run"
    )


@light_error
class NothingToAbandon(HoldfastError):
    """There is nothing to abandon: no revision is half-way."""

    exit_status = 2
    what = "No revision of this project is half-way in this database; nothing was changed."
    why = "Only a queue that this project has started, and that did not end, can be abandoned."
    remedy = "See where the database stands: holdfast status"


@light_error
class NotSoManyRevisions(HoldfastError):
    """A revert was asked for more revisions than are applied."""

    asked: int
    applied: int
    database: str = "this database"
    exit_status = 2
    what = "{asked} revisions were to be taken back in {database}, and only {applied} can be; none was."
    why = "A count that goes beyond the first revision may be meant for another database."
    remedy = "Take back all of them, if that is meant: holdfast revert -n {applied} (or --to base)"


@light_error
class NothingToPause(HoldfastError):
    """No run can be paused, as holdfast has never run in the database."""

    exit_status = 2
    what = "There is nothing to pause: holdfast has not run in any database of this project yet."
    why = "The request is a row of the schema holdfast, which the first run creates."
    remedy = "Start the run first: holdfast run"


@light_error
class EditedRevision(HoldfastError):
    """The file of an applied revision is not the one that ran."""

    revisions: tuple[str, ...]
    exit_status = 6
    what = "Applied revisions were edited afterwards: {revisions}. Nothing was migrated."
    why = (
        "This database was changed by the files as they were. The next one would be changed by the files as they"
        " are now, and the two would differ."
    )
    remedy = (
        "Restore the files and put the change into a new revision. If the edit changes nothing in the "
        "database (a comment, the layout): holdfast run --accept-edited"
    )


@light_error
class ReadOnlyServer(HoldfastError):
    """The server takes no writes."""

    database: str
    what = "The server of database {database} takes no writes; nothing was migrated."
    why = "It is a standby, or its sessions are read-only (default_transaction_read_only)."
    remedy = (
        "Point the migration's URL at the primary; with several hosts in it, add "
        "target_session_attrs=read-write"
    )


@light_error
class MissingRevision(HoldfastError):
    """A revision names one before it that has no file."""

    revision: str
    folder: str
    what = "Revision {revision} has no file in {folder}; nothing was migrated."
    why = "Another revision names it as the one before (down_revision or depends_on)."
    remedy = "Restore its file from version control: git log --diff-filter=D -- {folder}"


@light_error
class NotTakenBack(HoldfastError):
    """A revert has ended, and something of its revision still waits for `holdfast finish`."""

    revision: str
    waiting: tuple[str, ...]
    what = "The revert of {revision} does not take back what still waits: {waiting}"
    why = "No statement of its downgrade() is the inverse of that, and nothing may be left of a reverted revision."
    remedy = (
        "Write the inverse in downgrade(): add the column, create the table, change the name back; then"
        " holdfast revert. Or drop it for good first: holdfast finish"
    )


@light_error
class ShadowCarriesMore(HoldfastError):
    """Other objects depend on the second name of a column, and would be dropped with it."""

    waiting: str
    found: str
    what = "Nothing was finished of {waiting}: something else depends on its new name: {found}."
    why = (
        "Until then the new name is a column of its own. It is dropped when the old column gets that name, and what"
        " depends on it would be dropped with it."
    )
    remedy = "Drop it, or make it on the old name; then go on: holdfast finish"


@light_error
class ChangedWhileItWaited(HoldfastError):
    """Somebody has removed one of the two names of a column, and only a person knows which rows are right."""

    waiting: str
    missing: str
    clear: str
    number: int
    what = "Nothing was finished of {waiting}: there is no column {missing} any more."
    why = "It was dropped or renamed behind holdfast's back; since then the triggers that keep both names equal fail."
    remedy = (
        "Restore it; or give the remaining column the name that it should have, and end this by hand: {clear};"
        " DELETE FROM holdfast.waiting WHERE id = {number}"
    )


@light_error
class StillNeeded(HoldfastError):
    """Other objects depend on what would be dropped, and PostgreSQL refuses."""

    waiting: str
    found: str
    what = "Nothing was finished of {waiting}: {found}"
    why = "PostgreSQL does not drop what other objects need, and these were made or kept while it waited."
    remedy = "Drop or change what needs it; then go on: holdfast finish"


@light_error
class StillInUse(HoldfastError):
    """There are signs that somebody still uses what would be dropped."""

    waiting: tuple[str, ...]
    signs: tuple[str, ...]
    exit_status = 1
    what = "Nothing was finished, because something still seems to use what waits: {waiting}"
    why = "What was seen: {signs}"
    remedy = (
        "Stop what is named there, and try again: holdfast finish. Calls and writes are counted from now on,"
        " so that earlier ones do not stand in the way of the next try."
    )


@light_error
class CannotTellUse(HoldfastError):
    """Nothing was seen that uses what would be dropped, but that is no proof."""

    waiting: tuple[str, ...]
    unseen: tuple[str, ...]
    exit_status = 1
    what = "Nothing that waits was finished yet: {waiting}"
    why = "Nobody was seen using it, but that is no proof: {unseen}"
    remedy = (
        "Set HOLDFAST_RELEASE to the new release in the application and here; or, if you know that the old"
        " release is gone: holdfast finish --yes"
    )
