"""Keeps users from waiting for a transaction of the migration, whatever it executes: a guard on a second connection.

While it is armed, a loop in a backend of its own looks every few milliseconds whether the migration's backend has
waited too long for a lock on a relation, or a user has waited too long for it, and cancels what it runs: not even
EXCEPTION WHEN OTHERS catches that. Cancelling does nothing to a backend that is idle in its transaction: that is
terminated. The loop runs in the server, so it goes on while the migrator computes, is stopped or is cut off.

Armed is an advisory lock of the migration's backend. At the end it goes with COMMIT itself: the guard watches until
users are let through. Behind COMMIT the migration waits until the loop has ended, so that no late cancel hits what
comes next. What was cancelled is not committed, even if a body has caught it: before it cancels, the loop takes a
second advisory lock, which the migration asks for before COMMIT.
A guard that is silent itself is noticed from a third connection: guard_silence.py.
The manual: Server Signaling Functions, Advisory Locks, pg_blocking_pids(), pg_locks.
"""

import asyncio
import json
import logging
import threading
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from queue import Empty, SimpleQueue

from psycopg import sql as psycopg_sql
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from holdfast.errors.locks import GuardMayNotCancel, NoGuard
from holdfast.errors.sqlstate import QUERY_CANCELED, RAISE_EXCEPTION, sqlstate
from holdfast.execute.guard_silence import GuardedUnit, SilenceWatch
from holdfast.execute.session import MigrationSession, second_session
from holdfast.execute.verdict import EndedByGuard, GuardVerdict, Reason
from holdfast.observe.schema_constants import FIRED_KEY, GUARD_KEY, KEY
from holdfast.rewrite.locks import Lock, LockMode
from holdfast.rewrite.names import QualifiedName

log = logging.getLogger(__name__)

MAX_STALL = timedelta(milliseconds=50)  # what a user may have to wait
CANCEL_AFTER = timedelta(milliseconds=40)  # so that it has an effect before that
OWN_WAIT = timedelta(milliseconds=10)  # for a lock on a relation: whoever wants it queues behind us
SILENCE = timedelta(
    seconds=2
)  # a guard that does not answer for so long is none; nothing is held meanwhile
TO_CONNECT = timedelta(seconds=10)
IDLE = timedelta(seconds=5)  # where the guard itself is gone, the server ends an idle transaction

ARM = text(
    """
    SELECT pg_backend_pid() AS ours, extract(epoch FROM clock_timestamp())::float8 AS since,
           pg_advisory_lock(:key, pg_backend_pid()),
           CASE WHEN :ends_when_idle THEN set_config('idle_in_transaction_session_timeout', :idle, true) END
    """
)
# A COMMIT waits for no synchronous standby: the lock would be held until that answers. See MigrationSession.
IS_LOCAL = """
    CASE WHEN current_setting('synchronous_standby_names') <> ''
          AND current_setting('synchronous_commit') NOT IN ('off', 'local')
         THEN set_config('synchronous_commit', 'local', true) END AS is_local
"""
DISARM = text(f"SELECT pg_advisory_unlock(:key, pg_backend_pid()), {IS_LOCAL}")
# From the session to the transaction, so that COMMIT gives the lock back. A guard that has fired holds the other.
BEFORE_COMMIT = text(
    f"""
    SELECT pg_advisory_xact_lock(:key, pg_backend_pid()), pg_advisory_unlock(:key, pg_backend_pid()),
           pg_try_advisory_xact_lock(:fired, pg_backend_pid()) AS is_unharmed, {IS_LOCAL}
    """
)
# Cast: Citus has another one, of a bigint.
CANCEL = text("SELECT pg_cancel_backend(CAST(:pid AS integer))")

# One row: who the guard is, and whether it may end what the migration's backend executes.
GUARD = text(
    """
    SELECT pg_backend_pid() AS own, quote_ident(current_user) AS role, quote_ident(other.rolname) AS of,
           has_function_privilege('pg_catalog.pg_cancel_backend(integer)', 'EXECUTE')
           AND has_function_privilege('pg_catalog.pg_terminate_backend(integer, bigint)', 'EXECUTE')
           AND (mine.rolsuper OR NOT other.rolsuper
                AND (pg_has_role(other.oid, 'USAGE') OR pg_has_role('pg_signal_backend', 'USAGE'))) AS may_end
    FROM pg_stat_get_activity(:ours) AS activity JOIN pg_roles other ON other.oid = usesysid, pg_roles mine
    WHERE mine.rolname = current_user
    """
)
# Runs until the migration's backend gives its lock back, or is gone. What is cheap comes first: whether anybody waits
# is asked of each backend (a question that does not grow with the number of locks), who and how long only then.
LOOP = psycopg_sql.SQL(
    """
DO $guard$
DECLARE
  ours CONSTANT integer := {pid};
  own CONSTANT integer[] := {own};
  users_may_wait CONSTANT boolean := {users_may_wait};
  tick timestamptz;
  counted_from timestamptz;
  blocked integer[];
  waiter record;
  waits boolean;
  verdict jsonb;
  fired_at timestamptz;
  fired integer := 0;
  backend record;
BEGIN
  LOOP
    IF pg_try_advisory_lock({key}, ours) THEN
      PERFORM pg_advisory_unlock({key}, ours);
      EXIT;
    END IF;
    tick := clock_timestamp();
    waits := false;
    IF pg_blocking_pids(ours) <> '{{}}' THEN
      -- One longer try, for an autovacuum: who has queued behind it is let through as soon as it has its lock.
      IF {own_wait} > {longer_than} THEN
        counted_from := tick;
      END IF;
      SELECT nspname AS schema, relname AS name, l.mode, tick - l.waitstart AS waited INTO waiter
        FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE l.pid = ours AND NOT l.granted AND l.locktype = 'relation' AND l.waitstart < tick - {own_wait}
         AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock');
      IF FOUND THEN
        waits := true;
        verdict := coalesce(verdict, jsonb_build_object('reason', 'lock', 'schema', waiter.schema,
          'name', waiter.name, 'mode', waiter.mode, 'waited', extract(epoch FROM waiter.waited)));
      END IF;
    END IF;
    blocked := ARRAY(SELECT pid FROM (SELECT pg_stat_get_backend_pid(id) AS pid
                                      FROM pg_stat_get_backend_idset() AS id) AS backend
                     WHERE pid <> ours AND pid <> ALL (own) AND ours = ANY (pg_blocking_pids(pid)));
    IF blocked <> '{{}}' AND NOT users_may_wait THEN
      SELECT w.pid, w.mode, n.nspname AS schema, c.relname AS name, tick - w.waitstart AS waited,
             concat_ws(', ', a.usename, nullif(a.application_name, '')) AS who,
             (SELECT string_agg(format('%s on %I.%I', h.mode, s.nspname, r.relname), ', ')
                FROM pg_locks h JOIN pg_class r ON r.oid = h.relation JOIN pg_namespace s ON s.oid = r.relnamespace
               WHERE h.pid = ours AND h.granted AND h.locktype = 'relation'
                 AND h.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                 AND h.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
                 AND r.relkind IN ('r', 'p', 'm', 'v', 'S', 'f')) AS held
        INTO waiter
        FROM pg_locks w
        JOIN pg_stat_activity a ON a.pid = w.pid AND a.usesysid IS NOT NULL  -- others are autovacuum
        LEFT JOIN pg_class c ON w.locktype = 'relation' AND c.oid = w.relation
        LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE NOT w.granted AND w.pid = ANY (blocked) AND greatest(w.waitstart, counted_from) < tick - {cancel_after}
         AND w.locktype IN ('relation', 'tuple', 'transactionid')
         AND NOT EXISTS (SELECT FROM pg_locks m  -- another migrator, who waits for us to end
                          WHERE m.pid = w.pid AND m.locktype = 'advisory' AND m.objsubid = 1
                            AND (m.classid::bigint << 32) + m.objid::bigint = {leader})
       ORDER BY w.locktype = 'relation' DESC, w.waitstart LIMIT 1;
      -- Without a lock that blocks a table's users it holds rows, and whoever waits for these waits as for any writer.
      IF FOUND AND waiter.held IS NOT NULL THEN
        waits := true;
        verdict := coalesce(verdict, jsonb_build_object('reason', 'users', 'schema', waiter.schema,
          'name', waiter.name, 'mode', waiter.mode, 'waited', extract(epoch FROM waiter.waited), 'held', waiter.held,
          'who', format('pid %s (%s)', waiter.pid, waiter.who)));
      END IF;
    END IF;
    IF waits AND (fired_at IS NULL OR tick - fired_at > interval '10 ms') THEN
      SELECT state, state_change INTO backend FROM pg_stat_get_activity(ours);
      IF backend.state LIKE 'idle%' AND backend.state_change > tick - interval '10 ms' THEN
        NULL;  -- between two statements
      ELSIF backend.state LIKE 'idle%' OR fired > 10 THEN  -- or a body has caught it ten times
        fired := fired + 1;
        fired_at := tick;
        PERFORM pg_try_advisory_lock({fired_key}, ours);
        PERFORM pg_terminate_backend(ours);
        verdict := verdict || '{{"terminated": true}}';
      ELSE
        fired := fired + 1;
        fired_at := tick;
        PERFORM pg_try_advisory_lock({fired_key}, ours);
        PERFORM pg_cancel_backend(ours);
      END IF;
    END IF;
    COMMIT;  -- no snapshot of its own is left, and the next look at the backends is a new one
    PERFORM pg_sleep(least(0.010, greatest(0.002, 3 * extract(epoch FROM clock_timestamp() - tick))));
    COMMIT;
  END LOOP;
  IF fired > 0 THEN
    PERFORM pg_advisory_unlock({fired_key}, ours) FROM generate_series(1, fired);
    RAISE EXCEPTION USING MESSAGE = verdict::text;
  END IF;
END $guard$
"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardRequest:
    """What the guard's thread is asked to watch."""

    pid: int
    own_wait: timedelta
    users_may_wait: bool


class Guard:
    """The guard of one session of a migration. It connects when it is armed for the first time."""

    def __init__(self, session: MigrationSession, *, has_users: bool = True) -> None:
        self.session = session
        self.has_users = has_users  # nobody waits on a scratch database, however slow its guard is
        self.is_armed = False
        self._watch: _GuardWatch | None = None
        self._verdict: GuardVerdict | None = None
        self._users_may_wait = False

    def arm(
        self,
        *,
        own_wait: timedelta = OWN_WAIT,
        users_may_wait: bool = False,
        ends_when_idle: bool = True,
    ) -> None:
        """Watch the transaction that is open or about to open, until `disarm`. Returns once it is watched.

        `own_wait` is how long it may itself wait for a lock that blocks users, who queue behind it. Raises NoGuard
        where no second connection can be made.
        """
        if self.is_armed and users_may_wait and not self._users_may_wait:
            self.disarm()  # what comes now is allowed what came before was not
        if self.is_armed:
            return
        self._verdict, self._users_may_wait = None, users_may_wait
        idle = str(round(IDLE.total_seconds() * 1000))
        values = {"key": GUARD_KEY, "idle": idle, "ends_when_idle": ends_when_idle}
        row = self.session.execute(ARM, values).one()
        self.is_armed = True
        watch = self._watch = self._watch or _GuardWatch(self.session)
        request = GuardRequest(pid=row.ours, own_wait=own_wait, users_may_wait=users_may_wait)
        watch.requests.put(request)
        try:
            guard = watch.ready.get(timeout=TO_CONNECT.total_seconds())
        except Empty:
            guard = TimeoutError("no second connection in time")
        if isinstance(guard, Exception):
            self._watch = None
            self.session.rollback()
            if isinstance(guard, GuardMayNotCancel):
                watch.close()
                raise guard
            raise NoGuard(problem=str(guard).partition("\n")[0]) from guard
        if self.has_users:
            watch.silence.begin(GuardedUnit(ours=row.ours, guard=guard, since=row.since))

    def before_commit(self) -> None:
        """Let the watch end with COMMIT. Raises EndedByGuard, after ROLLBACK, if something was cancelled."""
        if not self.is_armed:
            return
        row = self.session.execute(BEFORE_COMMIT, {"key": GUARD_KEY, "fired": FIRED_KEY}).one()
        self.session.owes_durability |= row.is_local is not None
        if row.is_unharmed and self._watch is not None and not self._watch.is_lost:
            return
        self.session.rollback()  # which takes the verdict
        raise EndedByGuard(self._verdict or GuardVerdict(reason=Reason.SILENCE))

    def committed(self) -> None:
        """Wait until the guard's loop has ended; a cancellation that came too late has done nothing.

        Raises EndedByGuard where it has ended the connection: what is committed stays, and a new one goes on from it.
        """
        if self.is_armed:
            self._settle()
            if self._verdict is not None and self._verdict.is_terminated:
                raise EndedByGuard(self._verdict)
            self._verdict = None

    def disarm(self) -> None:
        """Stop watching in the middle of a transaction. Raises EndedByGuard if it must not be committed."""
        if not self.is_armed:
            return
        row = self.session.execute(DISARM, {"key": GUARD_KEY}).one()
        self.session.owes_durability |= row.is_local is not None
        self._settle()
        if self._verdict is not None:
            raise EndedByGuard(self._verdict)

    def settle(self) -> None:
        """Stop watching after a ROLLBACK, whatever has become of the connection."""
        if not self.is_armed:
            return
        with suppress(Exception):  # the connection may be gone, and the lock with it
            self._give_back()
        self._settle()

    @property
    def verdict(self) -> GuardVerdict | None:
        """Say what was done to the last transaction."""
        return self._verdict

    def take_verdict(self) -> GuardVerdict | None:
        """Say once what was done to the last transaction."""
        verdict, self._verdict = self._verdict, None
        return verdict

    def close(self) -> None:
        """End the guard's connection and thread. A second call does nothing."""
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.close()
            watch.thread.join(SILENCE.total_seconds())

    def _give_back(self) -> None:
        for _ in range(5):
            try:
                self.session.execute(DISARM, {"key": GUARD_KEY})
            except DBAPIError as error:
                self.session.dbapi_connection.rollback()
                if sqlstate(error) != QUERY_CANCELED:  # a late one is what we wait for here
                    return
            else:
                self.session.dbapi_connection.commit()
                return

    def _settle(self) -> None:
        self.is_armed = False
        if self._watch is None:
            return
        self._verdict = self._watch.settled()
        if self._verdict is not None and self._verdict.reason is Reason.SILENCE:
            self._watch.close()  # it ends when it finds that the lock, or its connection, is gone
            self._watch = None


class _GuardWatch:
    """The guard's thread, and the means of talking to it."""

    def __init__(self, session: MigrationSession) -> None:
        self.session = session
        self.requests: SimpleQueue[GuardRequest | None] = SimpleQueue()
        self.ready: SimpleQueue[int | Exception] = SimpleQueue()  # its process id
        self.verdicts: SimpleQueue[GuardVerdict | None] = SimpleQueue()
        self.silence = SilenceWatch(session)
        self._changes = threading.Lock()
        self._request: GuardRequest | None = None  # under way
        self._is_lost = False  # its connection
        work = self._in_event_loop if session.dialect.is_async else self._serve
        self.thread = threading.Thread(target=work, name="holdfast guard", daemon=True)
        self.thread.start()

    @property
    def is_lost(self) -> bool:
        """Whether nobody is watching, or nobody was for a while: then nothing must be committed."""
        return self._is_lost or self.silence.has_ended

    def settled(self) -> GuardVerdict | None:
        """Wait until the loop has ended, and give its verdict. It can cancel nothing that comes later."""
        self.silence.end()
        verdict: GuardVerdict | None = GuardVerdict(
            reason=Reason.SILENCE, is_terminated=self.silence.has_terminated
        )
        if not self.silence.has_ended:
            with suppress(Empty):
                verdict = self.verdicts.get(timeout=SILENCE.total_seconds())
        with self._changes:
            self._request = None
        return verdict

    def close(self) -> None:
        """End the thread when it can end, and the watch over it. A second call does nothing."""
        self.requests.put(None)
        self.silence.close()

    def _serve(self) -> None:
        """Serve requests on one connection as long as it lasts, then on a new one."""
        request = self.requests.get()
        while request is not None:
            is_new = True
            try:
                with second_session(self.session.migration) as connection:
                    while request is not None:
                        self._watch_one(connection, request)
                        is_new = False
                        request = self.requests.get()
            except _Lost as lost:
                log.debug("the guard's connection was lost", exc_info=True)
                self._end(lost.request)
                request = self.requests.get()
                self._is_lost = False
            except (DBAPIError, OSError) as error:
                if is_new:
                    self.ready.put(error)
                    return

    def _in_event_loop(self) -> None:
        from sqlalchemy.util.concurrency import greenlet_spawn

        async def serve() -> None:
            await greenlet_spawn(self._serve)

        asyncio.run(serve())

    def _watch_one(self, connection: Connection, request: GuardRequest) -> None:
        guard = connection.execute(GUARD, {"ours": request.pid}).one()
        if not guard.may_end:
            self.ready.put(GuardMayNotCancel(role=guard.role, of=guard.of))
            return
        self._request = request
        self.ready.put(guard.own)
        loop = _loop(request, own=guard.own)
        try:
            connection.exec_driver_sql(loop, execution_options={"no_parameters": True})
        except DBAPIError as error:
            if sqlstate(error) != RAISE_EXCEPTION:  # by which the loop tells what it has done
                raise _Lost(request) from error
            self.verdicts.put(_verdict(error))
        else:
            self.verdicts.put(None)

    def _end(self, request: GuardRequest) -> None:
        """End the unit: without a guard it must not go on, not even in the middle of a statement."""
        try:
            with second_session(self.session.migration) as connection, self._changes:
                if self._request is not request:
                    return  # it is over: whoever was silent is heard of late
                self._is_lost = True
                connection.execute(CANCEL, {"pid": request.pid})
        except (DBAPIError, OSError):
            self._is_lost = True
            log.debug("the unit without a guard could not be cancelled", exc_info=True)
        self.verdicts.put(GuardVerdict(reason=Reason.SILENCE))


class _Lost(Exception):
    def __init__(self, request: GuardRequest) -> None:
        super().__init__(request.pid)
        self.request = request


def _loop(request: GuardRequest, *, own: int) -> str:
    values = {
        "pid": request.pid,
        "own": [own],
        "users_may_wait": request.users_may_wait,
        "key": GUARD_KEY,
        "fired_key": FIRED_KEY,
        "leader": KEY,
        "own_wait": request.own_wait,
        "longer_than": 2 * OWN_WAIT,
        "cancel_after": CANCEL_AFTER,
    }
    literals = {name: psycopg_sql.Literal(value) for name, value in values.items()}
    return LOOP.format(**literals).as_string(None)


def _verdict(error: DBAPIError) -> GuardVerdict:
    """Read the verdict from the message of the loop's own exception."""
    told = str(error.orig)
    said = json.loads(told[told.index("{") : told.rindex("}") + 1])
    modes = {mode.in_catalog: mode for mode in LockMode}
    wanted = None
    if said.get("name"):
        relation = QualifiedName(schema=said["schema"], name=said["name"])
        wanted = Lock(mode=modes[said["mode"]], relation=relation)
    return GuardVerdict(
        reason=Reason(said["reason"]),
        is_terminated=said.get("terminated", False),
        who=said.get("who", "nobody"),
        waited=timedelta(seconds=said["waited"]),
        held=said.get("held") or "no lock on a table",
        wanted=wanted,
    )
