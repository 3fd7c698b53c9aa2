"""The session in which a migration runs, under a handle of our own; and a second session beside it.

The user's env.py owns the connection: its driver, its settings, its SQLAlchemy transaction. Our own statements
must join that session without passing the listeners on the user's engine and without telling SQLAlchemy
of a
commit, which would end the transaction object that env.py or Alembic still holds. So the handle is a
second SQLAlchemy connection over the same DBAPI connection, and commits go to the driver directly.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import Connection, CursorResult, Engine, Executable, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from holdfast.engine.changed_shapes import CHANNEL
from holdfast.errors.leadership import SettingsNeedSession, TakenOver
from holdfast.errors.light_dataclass import light_dataclass
from holdfast.errors.sqlstate import (
    INTERNAL_ERROR,
    NOT_NULL_VIOLATION,
    SERIALIZATION_FAILURE,
    sqlstate,
)
from holdfast.execute.verdict import GuardVerdict
from holdfast.observe.pooler import announced_pid, is_behind_pooler, prepare_nothing
from holdfast.observe.schema_constants import STEP_KEY

if TYPE_CHECKING:  # what a database has only when somebody uses it
    from holdfast.execute.pooler_console import PoolerConsole
    from holdfast.execute.workers import WorkerWarnings
    from holdfast.rewrite.locks import Lock

# SET LOCAL of env.py (search_path, role) ends with its transaction; to find it, look before and after. The server
# does not list settings of the user's own (app.scope), so these are asked for by their names.
SETTINGS = text(
    """
    SELECT name, setting FROM pg_settings WHERE source = 'session'
    UNION ALL SELECT name, current_setting(name) FROM unnest('{session_authorization,role}'::text[]) AS unlisted (name)
    UNION ALL SELECT name, current_setting(name, true) FROM unnest(CAST(:names AS text[])) AS own (name)
    """
)
# Names of such settings that a function sets or reads, or a policy reads: env.py may have called the function. No
# object of the server's own has a number from 16384 on.
OWN_SETTINGS = text(
    r"""
    WITH source (body) AS (
      SELECT prosrc FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace
      WHERE p.oid >= 16384 AND nspname NOT IN ('pg_catalog', 'information_schema')
    ), named (name) AS (
      SELECT coalesce(found[2], found[4]) FROM source, regexp_matches(body,
        '(set_config|current_setting)\s*\(\s*''(\w+\.[\w.]+)''|\mSET\s+(LOCAL\s+|SESSION\s+)?(\w+\.[\w.]+)', 'gi')
        AS found
      UNION ALL
      -- The texts in the expression of a policy, byte by byte behind their length: pg_get_expr() would wait for
      -- whoever has the table locked.
      SELECT (SELECT string_agg(chr(byte::int), '' ORDER BY place)
              FROM unnest(string_to_array(found[1], ' ')) WITH ORDINALITY AS bytes (byte, place)
              WHERE place > 4 AND byte::int BETWEEN 33 AND 126)
      FROM pg_policy, unnest(ARRAY[polqual::text, polwithcheck::text]) AS tree,
           regexp_matches(tree, '\:consttype 25 [^}]*\:constvalue \d+ \[ ([\d ]+) \]', 'g') AS found)
    SELECT DISTINCT lower(name) AS name FROM named WHERE name ~ '^\w+\.[\w.]+$'
    """
)
SET_LOCAL = text("SELECT set_config(:name, :setting, true)")
# How a session is called in pg_stat_activity, for its whole life; and how it was called, which is read first.
CALL = text("SELECT set_config('application_name', :name, false)")
CALL_ANEW = text(
    """
    SELECT before, set_config('application_name', :name, false)
    FROM (SELECT current_setting('application_name') AS before OFFSET 0) AS called
    """
)
# Of those that this server has: transaction_timeout is younger than PostgreSQL 16.
NO_LIMITS = text(
    """
    SELECT set_config(name, '0', true) FROM pg_settings WHERE name = ANY (CAST(:names AS text[]))
    """
)
# A row for each of these that would end the session, and does so no longer. What env.py or its URL has set is its wish.
LIFT_FOR_SESSION = text(
    """
    SELECT name, set_config(name, '0', false) FROM pg_settings
    WHERE name = ANY (CAST(:names AS text[])) AND setting <> '0' AND source NOT IN ('session', 'client')
      AND pg_backend_pid() = coalesce(:pid, pg_backend_pid())
    """
)
# The same for a whole session, and its name. Not through a pooler, which gives the session to strangers. A role that
# each connection of the user's engine SETs may not cancel what the login role executes: here it is the login role.
OWN_SESSION = text(
    """
    SELECT set_config(name, '0', false) FROM unnest(CAST(:names AS text[])) AS limits (name)
    WHERE current_setting(name, true) IS NOT NULL AND pg_backend_pid() = coalesce(:pid, pg_backend_pid())
    UNION ALL SELECT set_config(own.name, own.setting, false)
    FROM (VALUES ('application_name', :name), ('session_authorization', NULL), ('role', 'none')) AS own (name, setting)
    WHERE pg_backend_pid() = coalesce(:pid, pg_backend_pid())
    """
)
# Instead of a guard, where nobody can be one: the server ends what holds a lock for long, or is idle in it.
BRIEFLY = text(
    """
    SELECT set_config('statement_timeout', :statement, true),
           set_config('idle_in_transaction_session_timeout', :idle, true)
    """
)
STATEMENT_UNDER_LOCK = timedelta(seconds=1)
IDLE_UNDER_LOCK = timedelta(seconds=5)
TIMEOUTS = (
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "lock_timeout",
    "statement_timeout",
    "transaction_timeout",
)
ENDS_SESSION = (
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "transaction_timeout",
)
# One row. FOR SHARE: a new leader, who raises it, waits until the transaction that looks at it has ended.
FENCE = text("SELECT epoch FROM holdfast.leader FOR SHARE")
EPOCH = text("SELECT epoch FROM holdfast.leader")
# Polled: whoever blocked in pg_advisory_lock() would hold a snapshot that a build waits for.
LOCK_STEP = text("SELECT pg_try_advisory_lock(:key)")
UNLOCK_STEP = text("SELECT pg_advisory_unlock(:key)")
# Its rows are held until COMMIT, which a process that is stopped or cut off does not send.
BATCH = text(
    """
    SELECT set_config('synchronous_commit', 'off', true), set_config('statement_timeout', '0', true),
           set_config('idle_in_transaction_session_timeout', :idle, true)
    """
)
TOUCH = text("SELECT 1 FROM holdfast.leader FOR UPDATE")
TELL = text("SELECT pg_notify(:channel, '')")
# One row. The event trigger of Citus itself catches no error: it tells the workers what was dropped.
BESIDE_DDL = text(
    """
    SELECT to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL AS is_citus,
           EXISTS (SELECT FROM pg_event_trigger e WHERE evtenabled <> 'D' AND NOT EXISTS (
             SELECT FROM pg_depend d JOIN pg_extension x ON x.oid = d.refobjid
             WHERE d.classid = 'pg_event_trigger'::regclass AND d.objid = e.oid
               AND d.refclassid = 'pg_extension'::regclass AND extname = 'citus')) AS has_event_triggers
    """
)
HAS_WRITTEN = text("SELECT pg_current_xact_id_if_assigned() IS NOT NULL")
STEP_LOCK_WITHIN = timedelta(seconds=5)


@light_dataclass
class LocalSetting:
    """One setting that env.py has made for its transaction (SET LOCAL)."""

    name: str
    setting: str


def polling(
    patience: timedelta, *, every: timedelta = timedelta(milliseconds=20)
) -> Iterator[None]:
    """Yield once, and then every few milliseconds until the patience is over."""
    limit = monotonic() + patience.total_seconds()
    yield
    while monotonic() < limit:
        sleep(every.total_seconds())
        yield


class OwnEngine(Engine):
    """Our own engine over the user's dialect, whose listeners tell our statements apart by it."""


class TransactionGuard(Protocol):
    """Watches a transaction of the session, and ends it when users wait for it."""

    is_armed: bool

    def arm(self, *, own_wait: timedelta, users_may_wait: bool, ends_when_idle: bool) -> None:
        """Let the guard watch the transaction from now on."""
        ...

    def before_commit(self) -> None:
        """Watch until COMMIT. Raises, after ROLLBACK, if the transaction was ended."""
        ...

    def committed(self) -> None:
        """Tell the guard that the transaction was committed."""
        ...

    def disarm(self) -> None:
        """Stop watching in the middle of a transaction. Raises if it was ended."""
        ...

    def settle(self) -> None:
        """Tell the guard that the transaction was rolled back."""
        ...

    @property
    def verdict(self) -> GuardVerdict | None:
        """Say what was done to the last transaction."""

    def take_verdict(self) -> GuardVerdict | None:
        """Say once what was done to the last transaction."""
        ...

    def close(self) -> None:
        """End the connection that the guard watches on."""
        ...


class RowAtCommit(Protocol):
    """A row of ours that is written in the open transaction as late as possible."""

    def take(self) -> str:
        """Give, once, the SQL that writes the row under our epoch; empty if nothing is left to write."""
        ...


class LocksOnStandbys(Protocol):
    """Knows what a lock would do to readers of standbys."""

    def require_free(self, session: "MigrationSession", locks: "tuple[Lock, ...]") -> None:
        """Raise if one of these locks had better not be taken now."""

    def close(self) -> None:
        """End the connections to the standbys."""


class MigrationSession:
    """The migration's session: its statements take part in the migration's own transaction.

    `keep_local_settings` makes SET LOCAL of env.py hold in every later transaction of the session.
    """

    def __init__(self, migration: Connection) -> None:
        self.migration = migration
        self.version_table = ""  # whose journal and history this is: its schema and its name
        self.epoch: int | None = None  # of our leadership, once we have it
        self.guard: TransactionGuard | None = None  # who keeps users from waiting for us
        self.standbys: LocksOnStandbys | None = None  # who looks at them before a lock
        self.is_pooled = (
            False  # what is set for a session would reach strangers: see notice_pooler()
        )
        self.console: PoolerConsole | None = None  # of the pooler of the applications
        self.workers: WorkerWarnings | None = None  # of a cluster of Citus
        self.row_at_commit: RowAtCommit | None = None
        self.is_first_here = False  # nobody has run holdfast here before: its tables are new
        self.has_told_lag_is_unseen = False
        self.owes_durability = (
            False  # something is committed that a crash of the server may take back
        )
        self._is_fenced = False
        self._event_triggers: bool | None = None
        self._lifted: tuple[str, ...] = ()  # timeouts, for the session
        self.name = "holdfast"  # of the sessions beside it
        self._called_before: str | None = None
        self.dialect = migration.dialect
        self.dbapi_connection: Any = migration.connection.dbapi_connection
        pool = StaticPool(self._the_connection, dialect=self.dialect, reset_on_return=None)
        self._connection = OwnEngine(pool, self.dialect, migration.engine.url).connect()
        self.local_settings: tuple[LocalSetting, ...] = ()
        self._settings_hold = True

    def _the_connection(self) -> Any:
        return self.dbapi_connection

    @property
    def connection(self) -> Connection:
        """A connection for questions and notifications, under the settings that hold for the migration.

        The first use in a transaction makes sure that nobody else has become the leader; raises TakenOver.
        """
        self.restore_local_settings()
        self._require_leadership()
        return self._connection

    @property
    def is_lost(self) -> bool:
        """Whether its connection is known to be gone, by either of the two ways to notice that."""
        is_closed = bool(getattr(self.dbapi_connection, "closed", False))
        return is_closed or self._connection.invalidated or self.migration.invalidated

    def execute(
        self, statement: Executable, parameters: Mapping[str, Any] | None = None
    ) -> CursorResult[Any]:
        """Execute a statement of SQLAlchemy in the session's transaction, or at once in autocommit."""
        return self.connection.execute(statement, parameters)

    def execute_sql(self, sql: str) -> CursorResult[Any]:
        """Execute finished SQL: no placeholder in it is looked for, no percent sign doubled."""
        # As an option of the connection it would stay, and text() doubles percent signs for parameters.
        once = {"no_parameters": True}
        result = self.connection.exec_driver_sql(sql, execution_options=once)
        # asyncpg keeps prepared statements; after DDL by another cursor they must be forgotten.
        if forget := getattr(self.dialect, "_invalidate_schema_cache", None):
            forget()
        return result

    def execute_as_leader(self, sql: str) -> None:
        """Execute SQL whose row gets no value if it does not find our epoch. Raises TakenOver then."""
        self.restore_local_settings()
        self._is_fenced = True
        with self._another_leader_refused():
            self.execute_sql(sql)

    def execute_together(self, *texts: str) -> None:
        """Execute several finished texts, in one round trip if the driver can."""
        if not self.takes_several:
            for sql in texts:
                self.execute_sql(sql)
            return
        _ = self.connection  # under the settings of env.py, and as the leader
        self._send_together(texts)

    @property
    def takes_several(self) -> bool:
        """Whether the driver takes several statements as one text."""
        return self.dialect.driver == "psycopg" and not self.dialect.is_async

    def _send_together(self, texts: tuple[str, ...]) -> None:
        """Send the texts; raises what SQLAlchemy would raise."""
        driver: Any = self.dialect.loaded_dbapi
        sql = "; ".join(texts)
        try:
            with closing(self.dbapi_connection.cursor()) as cursor:
                cursor.execute(sql, prepare=False)  # several are never prepared
        except driver.Error as error:
            raise DBAPIError.instance(
                sql, None, error, driver.Error, dialect=self.dialect
            ) from error

    def commit(self) -> None:
        """Commit what the session has done, the user's statements included.

        Raises EndedByGuard where users have waited for it: then it is rolled back.
        """
        guard = self._armed_guard
        row = self._take_row()
        if guard is not None:
            guard.before_commit()
        if row and self.takes_several and not self.in_autocommit():
            self._commit_with(row)
        else:
            if row:
                self.execute_as_leader(row)
            self.dbapi_connection.commit()
        self._settings_hold = self._is_fenced = False
        if guard is not None:
            guard.committed()

    def _commit_with(self, row: str) -> None:
        """Write the row and commit, in one round trip; the next transaction begins with it."""
        try:
            self._send_together((row, "COMMIT AND CHAIN"))
        except DBAPIError as error:
            if sqlstate(error) not in (NOT_NULL_VIOLATION, SERIALIZATION_FAILURE):
                raise
            # The row's, or that of what the author has left to COMMIT: the epoch tells.
            self.dbapi_connection.rollback()
            found = self._connection.execute(EPOCH).scalar_one_or_none()
            self.dbapi_connection.rollback()
            if found == self.epoch:
                raise
            raise TakenOver(ours=self.epoch or 0, found=str(found or "a later one")) from error

    def _take_row(self) -> str:
        return "" if self.row_at_commit is None else self.row_at_commit.take()

    @property
    def _armed_guard(self) -> TransactionGuard | None:
        """The guard, while it watches the open transaction."""
        return self.guard if self.guard is not None and self.guard.is_armed else None

    def close(self) -> None:
        """Close our handle and undo what is not committed. The user's own handle stays.

        Left to the garbage collector, SQLAlchemy would end an async connection under its owner.
        """
        try:
            if self._called_before is not None or self._lifted:
                self.rollback()
                for name in self._lifted:
                    self._connection.exec_driver_sql(f"RESET {name}")
                if self._called_before is not None:
                    self._connection.execute(CALL, {"name": self._called_before})
                self.commit()
        finally:
            self._connection.close()

    def forget_transaction(self) -> None:
        """Forget what is known of the open transaction: somebody may have ended it through the driver."""
        self._settings_hold = self._is_fenced = False

    def has_written(self) -> bool:
        """Whether the open transaction has an effect."""
        return bool(self._connection.execute(HAS_WRITTEN).scalar_one())

    def notice_pooler(self) -> bool:
        """Find out, and remember, whether a pooler is in between: then only transactions are ours."""
        self.is_pooled = is_behind_pooler(self.connection)
        if self.is_pooled:
            prepare_nothing(self.migration)
        return self.is_pooled

    def call_itself(self, name: str) -> None:
        """Commit, and be found under this name in pg_stat_activity until `close`."""
        if not self.is_pooled:
            self.name = name
            before = str(self._connection.execute(CALL_ANEW, {"name": name}).one().before)
            if self._called_before is None:
                self._called_before = before
        self.commit()

    def tell_applications(self) -> None:
        """Notify listening pools that a committed change has altered a table's shape."""
        with self.transactional():
            self.execute(TELL, {"channel": CHANNEL})
            self.commit()
        if self.console is not None:
            self.console.reconnect(self.migration.engine.url.database or "")

    def rollback(self) -> None:
        """Undo everything since the last commit, the user's statements included."""
        self._take_row()
        try:
            self.dbapi_connection.rollback()
        finally:
            self._settings_hold = self._is_fenced = False
            if (guard := self._armed_guard) is not None:
                guard.settle()
                self._settings_hold = self._is_fenced = False

    def begin_batch(self) -> None:
        """Let this transaction's COMMIT not wait for the disk: users' commits would wait behind it.

        A crash takes back all of it or nothing; `make_durable` follows before success is reported. How long a batch
        takes is decided by its size, not by a statement_timeout.
        """
        self.execute(BATCH, {"idle": _milliseconds(IDLE_UNDER_LOCK)})
        self.owes_durability = True

    def make_durable(self) -> None:
        """Commit once more, without a lock on a table, as durably as the session's own setting says."""
        if self.owes_durability:
            self.execute(TOUCH)  # whose transaction writes: it holds the row of the epoch
            self.commit()
            self.owes_durability = False

    def watch(
        self, *, own_wait: timedelta, users_may_wait: bool = False, ends_when_idle: bool = True
    ) -> None:
        """Watch the transaction to its end, so that no user waits for it (unless allowed). See execute/guard.py."""
        if self.guard is not None:
            self.guard.arm(
                own_wait=own_wait, users_may_wait=users_may_wait, ends_when_idle=ends_when_idle
            )

    def be_brief(self) -> None:
        """Without a guard, let the server limit how long a lock that blocks users can be held."""
        if self.is_pooled:
            limits = {"statement": STATEMENT_UNDER_LOCK, "idle": IDLE_UNDER_LOCK}
            values = {name: _milliseconds(limit) for name, limit in limits.items()}
            self.execute(BRIEFLY, values)

    def require_free_on_standbys(self, locks: "tuple[Lock, ...]") -> None:
        """Check these locks before asking for them. Raises StandbyInTheWay."""
        if self.standbys is not None and locks:
            self.standbys.require_free(self, locks)

    def has_event_triggers(self) -> bool:
        """Whether event triggers run with DDL, which may do anything. Asked once."""
        if self._event_triggers is None:
            row = self.execute(BESIDE_DDL).one()
            self._event_triggers = bool(row.has_event_triggers)
            self.notice_citus(row.is_citus)
        return self._event_triggers

    def notice_citus(self, is_citus: bool) -> None:
        """Remember whether the server coordinates a Citus cluster; then listen to its workers' warnings."""
        if is_citus and self.workers is None:
            from holdfast.execute.workers import WorkerWarnings

            self.workers = WorkerWarnings.of(self.dbapi_connection)

    @property
    def is_citus(self) -> bool:
        """Whether it is known that the server is a coordinator of Citus."""
        return self.workers is not None

    def state_of(self, error: BaseException) -> str | None:
        """Give the SQLSTATE of an error; if a worker of a cluster caused it, the worker's."""
        state = sqlstate(error)
        if state != INTERNAL_ERROR or self.workers is None:
            return state
        return self.workers.state_behind(error) or state

    def keep_local_settings(self, names_seen: Collection[str] = ()) -> None:
        """Commit, and remember the settings that ended with it. No timeout ends the session from here on.

        `names_seen` are names of settings that PostgreSQL does not know, as env.py has named them.
        """
        self._lift_session_limits()
        names = sorted({*names_seen, *self.execute(OWN_SETTINGS).scalars()})
        before = self.execute(SETTINGS, {"names": names}).all()
        self.commit()
        after = self.execute(SETTINGS, {"names": names}).all()
        self.commit()
        self.local_settings = tuple(
            LocalSetting(name=row.name, setting=row.setting)
            for row in before
            if row not in after and row.setting is not None
        )

    def _lift_session_limits(self) -> None:
        """Lift the timeouts that would end the session, until `close`. The caller commits.

        Those of a statement hold for what the author sends. Behind a pooler the session is not ours.
        """
        pid = announced_pid(self.migration.connection.driver_connection)
        rows = self.execute(LIFT_FOR_SESSION, {"names": list(ENDS_SESSION), "pid": pid})
        self._lifted = tuple(row.name for row in rows)

    def lift_limits_for_transaction(self) -> None:
        """Lift the server's timeouts for a transaction that may take as long as it needs."""
        self.execute(NO_LIMITS, {"names": list(TIMEOUTS)})

    def _require_leadership(self) -> None:
        """Check our epoch once in each transaction; a session without leadership (a look) has none."""
        if self._is_fenced or self.epoch is None or self.in_autocommit():
            return
        self._is_fenced = True
        with self._another_leader_refused():
            found = self._connection.execute(FENCE).scalar_one_or_none()
        if found != self.epoch:
            raise TakenOver(ours=self.epoch, found=str(found or "a later one"))

    @contextmanager
    def _another_leader_refused(self) -> Iterator[None]:
        """Turn the serialization error of a raised epoch (in REPEATABLE READ) into TakenOver.

        So is a row that lacks the value for which the epoch was looked for.
        """
        try:
            yield
        except DBAPIError as error:
            if sqlstate(error) not in (NOT_NULL_VIOLATION, SERIALIZATION_FAILURE):
                raise
            raise TakenOver(ours=self.epoch or 0, found="a later one") from error

    @contextmanager
    def step_outside_transaction(self) -> Iterator[None]:
        """Mark one statement in autocommit: a new leader waits for it, a former one does not begin it."""
        if self.epoch is None:
            yield
            return
        if self.is_pooled:  # a lock of the session would stay behind: see execute/lease.py
            self._require_epoch()
            yield
            return
        for _ in polling(STEP_LOCK_WITHIN):
            if self.execute(LOCK_STEP, {"key": STEP_KEY}).scalar_one():
                break
        else:
            raise TakenOver(ours=self.epoch, found="a later one")
        try:
            # Behind the lock: whoever raises the epoch after this look waits for the lock.
            self._require_epoch()
            yield
        finally:
            with suppress(DBAPIError):  # the lock goes with its connection too
                self.execute(UNLOCK_STEP, {"key": STEP_KEY})

    def _require_epoch(self) -> None:
        found = self.execute(EPOCH).scalar_one_or_none()
        if found != self.epoch:
            raise TakenOver(ours=self.epoch or 0, found=str(found or "a later one"))

    @contextmanager
    def more_local_settings(self, settings: tuple[LocalSetting, ...]) -> Iterator[None]:
        """Apply, for a while, what the author had SET before a statement, besides env.py's settings."""
        before = self.local_settings
        self.local_settings = (*before, *settings)
        self._settings_hold = False
        try:
            yield
        finally:
            self.local_settings = before

    def restore_local_settings(self) -> None:
        """Apply the settings again, once per transaction; our own statements do it by themselves."""
        if self._settings_hold or self.in_autocommit():
            return
        self._settings_hold = True
        for local in self.local_settings:
            self._connection.execute(SET_LOCAL, {"name": local.name, "setting": local.setting})

    def set_locally(self, settings: tuple[LocalSetting, ...]) -> None:
        """Apply these settings for the rest of the open transaction."""
        for local in settings:
            self.connection.execute(SET_LOCAL, {"name": local.name, "setting": local.setting})

    def in_autocommit(self) -> bool:
        """Whether each statement commits itself (the author's autocommit_block, or env.py's choice)."""
        return bool(self.dbapi_connection.autocommit)

    @contextmanager
    def autocommit(self) -> Iterator[None]:
        """Leave transactions for the block, for statements that refuse one. Nothing may be uncommitted before."""
        if self.in_autocommit():
            yield
            return
        level = self.dialect.get_isolation_level(self.dbapi_connection)
        self.commit()  # asking for the level has opened a transaction
        self.dialect.set_isolation_level(self.dbapi_connection, "AUTOCOMMIT")
        try:
            yield
        finally:
            self.dialect.set_isolation_level(self.dbapi_connection, level)

    @contextmanager
    def read_committed(self) -> Iterator[None]:
        """Let our transactions see what users commit, whatever the author's default isolation is.

        In REPEATABLE READ a batch would fail at each row that a user has just written.
        """
        if self.in_autocommit():
            yield
            return
        level = self.dialect.get_isolation_level(self.dbapi_connection)
        self.rollback()  # asking for it has opened a transaction
        if level == "READ COMMITTED":
            yield
            return
        self.dialect.set_isolation_level(self.dbapi_connection, "READ COMMITTED")
        try:
            yield
        finally:
            self.rollback()
            self.dialect.set_isolation_level(self.dbapi_connection, level)

    @contextmanager
    def transactional(self) -> Iterator[None]:
        """Use transactions in the block, also where the author has switched to autocommit."""
        if not self.in_autocommit():
            yield
            return
        self.dialect.set_isolation_level(self.dbapi_connection, "READ COMMITTED")
        self._settings_hold = False
        try:
            yield
        finally:
            self.commit()
            self.dialect.set_isolation_level(self.dbapi_connection, "AUTOCOMMIT")

    @contextmanager
    def session_settings(self, settings: Mapping[str, str]) -> Iterator[None]:
        """Apply settings to statements outside a transaction, SET LOCAL ones included; restore them after.

        Behind a pooler none can be set; raises SettingsNeedSession where the statement needs them.
        """
        if self.is_pooled:
            # Our own (holdfast.now) is for writes of rows.
            needed = [s.name for s in self.local_settings if not s.name.startswith("holdfast.")]
            if needed:
                raise SettingsNeedSession(names=", ".join(needed))
            yield
            return
        wanted = {local.name: local.setting for local in self.local_settings} | dict(settings)
        current = text("SELECT current_setting(:name, true)")
        found = {name: self.execute(current, {"name": name}).scalar_one() for name in wanted}
        # Unknown to this server: a timeout that is younger. Never set: a setting of the user's own.
        own = {local.name for local in self.local_settings}
        before = {n: old or "" for n, old in found.items() if old is not None or n in own}
        self._set_for_session({name: wanted[name] for name in before})
        try:
            yield
        finally:
            self._set_for_session(before)

    def _set_for_session(self, settings: Mapping[str, str]) -> None:
        for name, setting in settings.items():
            self.connection.execute(
                text("SELECT set_config(:name, :setting, false)"),
                {"name": name, "setting": setting},
            )


def _milliseconds(time: timedelta) -> str:
    return str(round(time.total_seconds() * 1000))


@contextmanager
def session_as_made(migration: Connection) -> Iterator[Connection]:
    """Open a connection in AUTOCOMMIT as the user's engine makes it, outside its pool, with its settings."""
    engine = migration.engine
    own = OwnEngine(engine.pool.recreate(), engine.dialect, engine.url)
    try:
        with own.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            prepare_nothing(connection)
            yield connection
    finally:
        own.dispose()


@contextmanager
def second_session(migration: Connection, *, name: str = "holdfast") -> Iterator[Connection]:
    """Open a connection like `session_as_made` that none of the server's timeouts ends.

    It may be idle or wait for as long as it is needed. `name` is how it is called in pg_stat_activity.
    """
    with session_as_made(migration) as connection:
        pid = announced_pid(connection.connection.driver_connection)
        connection.execute(OWN_SESSION, {"names": list(TIMEOUTS), "name": name, "pid": pid})
        connection.commit()  # for SQLAlchemy only: whoever gets it may choose another isolation level
        yield connection
