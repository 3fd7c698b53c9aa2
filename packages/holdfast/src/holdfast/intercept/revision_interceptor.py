"""Receives the statements of a revision's function, and does with each what `route` says.

Keeps the record of every statement that took effect, so that the function can be called again after a kill.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from postgast import pg_query_pb2 as pb
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from holdfast.errors.sqlstate import DEADLOCK_DETECTED, LOCK_NOT_AVAILABLE, QUERY_CANCELED
from holdfast.errors.statement import (
    NeedsSession,
    PreparesTransaction,
    RefusedStatement,
    UnparsableStatement,
)
from holdfast.errors.unfinished import RollbackAfterCommit
from holdfast.execute.lock_patience import FIRST_LOCK, LockTimeouts, LockWaits
from holdfast.execute.progress import DiskNeeded, RowsRead
from holdfast.intercept.interceptor import InterceptedStatement
from holdfast.intercept.other_connections import READS_CURSOR, OtherConnections
from holdfast.intercept.requeue import BeforeLook, set_savepoint, undo_and_requeue
from holdfast.intercept.revision_context import InterruptedCall, RevisionContext
from holdfast.intercept.revision_queue import RevisionQueue, WaitingStatement
from holdfast.intercept.route import (
    Before,
    Mode,
    RevisionState,
    Route,
    Sighting,
    StatementPlace,
    Then,
    WaitingWork,
    before_a_look,
    before_what_cannot_be_divided,
    route,
)
from holdfast.observe.free_disk import free_disk
from holdfast.rewrite.commits_inside import may_commit_inside
from holdfast.rewrite.disk_space import disk_needs, refuse_more_than_fits
from holdfast.rewrite.divided_alter_table import divide_alter_table
from holdfast.rewrite.facts import Facts, Releases
from holdfast.rewrite.locks import Lock
from holdfast.rewrite.one_moment import at_its_moment
from holdfast.rewrite.online import (
    as_written,
    is_exempted,
    locks_of,
    moment_of,
    rewrite,
)
from holdfast.rewrite.pooled import UNSEEN, refuse_without_session
from holdfast.rewrite.queue.independence import is_write
from holdfast.rewrite.queue.plan_queue import divided_by_a_look, lasts_with_open, plan_queue
from holdfast.rewrite.queue.units import QueueEntry, Unit
from holdfast.rewrite.side_by_side.taken_back import is_there_already
from holdfast.rewrite.single_transaction import refuse_undivided
from holdfast.rewrite.statement import (
    DDL,
    UNRECORDED,
    WRITES,
    Statement,
    StatementKind,
    calls_unknown_functions,
    is_opaque_call,
    is_opaque_ddl,
    parse,
    relations_in,
    shortened,
)
from holdfast.rewrite.steps import TransactionStep
from holdfast.rewrite.type_change import may_write_rows

READS = (StatementKind.READ, StatementKind.WRITE_WITH_RESULT)
BEGINS = (pb.TRANS_STMT_BEGIN, pb.TRANS_STMT_START)
STARTED = "it may have committed a part of this, which was started and did not end: {sql}"
LOOKS = (Mode.COLLECTING, Mode.HOLDING, Mode.QUEUED)  # what is executed for a look can wait again
DRIVER_USED = "it has used the driver's own connection, whose statements nobody sees"


class RevisionInterceptor:
    """Receives the statements of one call of a revision's function."""

    def __init__(
        self,
        context: RevisionContext,
        timeouts: LockTimeouts,
        interrupted: InterruptedCall | None = None,
        *,
        tries: int = 0,
    ) -> None:
        self.work = context
        self.session = context.session
        self.queue = RevisionQueue(context, interrupted)
        self.lock_waits = LockWaits(
            session=context.session,
            timeouts=timeouts,
            of_rows=context.lock_timeout_of_rows,
            tries=tries,
        )
        has_run = self.queue.has_committed
        self.state = RevisionState(has_run=has_run, is_divided=has_run)
        self.failure: BaseException | None = None
        self.before_look: BeforeLook | None = None
        self.driver_has_committed = False  # nothing that its author has done is open any more
        self.began_in_autocommit = False  # by a BEGIN of its author's
        self.others = OtherConnections(self)

    # Called by the listener on the connection.

    def arrives(self, intercepted: InterceptedStatement) -> bool:
        """Handle one statement; give False if the driver should execute it."""
        if self.failure is not None:  # and its author has caught it: not even the driver goes on
            raise self.failure
        if not intercepted.on_migration_connection:
            with self._nothing_swallowed():
                return self.others.arrives(intercepted)
        with self._nothing_swallowed():
            statements = self._statements_of(intercepted)
        if len(statements) == 1:
            return self._takes(statements[0], intercepted.texts(), intercepted)
        return self._takes_each(statements, intercepted)

    def commits(self) -> None:
        """Run what waits and record what was done: from here on the function cannot simply be repeated."""
        if self.began_in_autocommit and self._has_failed_since():
            self._ends_what_it_began(
                self.session.rollback
            )  # its block of AUTOCOMMIT is left by an error
            return
        if self.queue.replay.is_going_on:
            return
        is_open = self.state.has_done_something and not self.session.in_autocommit()
        if self.queue.waiting or is_open:
            with self._nothing_swallowed():
                self.run()
        self.queue.now = ""  # what follows is another transaction of its author's
        self.before_look = None
        self._becomes(is_divided=False)

    def rolls_back(self) -> None:
        """Forget what was done and queued, as the author does, if nothing of it is committed yet."""
        if self.state.is_divided:
            self.failure = RollbackAfterCommit(revision=self.work.revision.revision)
            raise self.failure
        self.queue.forget()
        self.before_look = None
        self.lock_waits.forget()
        self.state = RevisionState(has_driver=self.state.has_driver)

    def other_commits(self, connection: Connection) -> None:
        """Commit what was done on another connection, and record it: it is never done again."""
        with self._nothing_swallowed():
            self.others.commits(connection)

    def other_rolls_back(self, connection: Connection) -> None:
        """Forget what was done on another connection since its last commit."""
        self.others.rolls_back(connection)

    def close(self) -> None:
        """Undo what the author has left open on other connections."""
        if self.others.open:
            self.others.close()

    def sets_savepoint(self) -> None:
        """Execute what waits: in a savepoint the author expects errors where they happen."""
        with self._nothing_swallowed():
            self.do_before(before_what_cannot_be_divided(self.state))
        self._becomes(savepoints=self.state.savepoints + 1)

    def ends_savepoint(self, *, rolled_back: bool) -> None:
        """Leave the savepoint. A rollback to it is not recorded, so the function cannot be replayed."""
        self._becomes(savepoints=self.state.savepoints - 1)
        if rolled_back:
            self.queue.catalog.forget()
            self.queue.replay.unrepeatable = "it has rolled a savepoint back"

    def asks_for_driver(self) -> None:
        """Execute what waits before the author gets the driver's connection; then nothing waits any more."""
        if self.failure is not None:
            raise self.failure
        with self._nothing_swallowed():
            if self.session.is_pooled:
                raise NeedsSession(statement="the driver's own connection", reason=UNSEEN)
            if not self.session.in_autocommit():
                self.do_before(before_a_look(self.state))
            self.lock_waits.for_rows()
            self.queue.replay.unrepeatable = DRIVER_USED
            self._mark_driver()
        self.queue.catalog.forget()
        self._becomes(has_driver=True, has_done_something=True, wrote=True)

    def _mark_driver(self) -> None:
        """Leave a mark in the open transaction: if the driver commits that, the function is not repeated."""
        if self.session.in_autocommit():
            with self.session.transactional():
                self.queue.record_progress()
        else:
            self.queue.mark()

    def _look_behind_driver(self) -> None:
        """Notice whether the author has ended the transaction by the driver: the mark has given it a number."""
        has_ended = not self.session.in_autocommit() and not self.session.has_written()
        self.session.forget_transaction()
        self.driver_has_committed = has_ended and self.work.journal.unfinished() is not None

    def fails(self, error: BaseException) -> None:
        """Note a lock that was not free: it undoes the transaction, even if the author catches the error."""
        if self.session.state_of(error) in (LOCK_NOT_AVAILABLE, DEADLOCK_DETECTED, QUERY_CANCELED):
            self.failure = error

    def returns(self) -> None:
        """Execute what waits once the function has returned, unless it must be divided into units."""
        with self._nothing_swallowed():
            self.queue.require_all_taken_back()
            if self._must_be_divided() or self.queue.has_committed:
                self._go_back_where_it_lasts()
                self._planned()
            else:
                self._execute_waiting()

    def finish(self) -> None:
        """Commit what was done and run what is queued. Leaves only the version row to be written."""
        self.queue.replay.require_end()
        if self.queue.has_committed or self.queue.waiting:
            self.run(function_ended=True)

    # Handling one statement.

    def _statements_of(self, intercepted: InterceptedStatement) -> tuple[Statement, ...]:
        if not intercepted.can_be_fetched and getattr(intercepted.cursor, "name", None):
            # A server-side cursor lives in its transaction.
            self.do_before(before_what_cannot_be_divided(self.state))
            self._becomes(is_single=True)
            return ()
        try:
            written = parse(intercepted.texts()[0])
        except UnparsableStatement:
            self.do_before(before_what_cannot_be_divided(self.state))
            return ()  # PostgreSQL will say what is wrong with it
        return tuple(
            part
            for each in written
            for part in (
                divide_alter_table(each) if isinstance(each.node, pb.AlterTableStmt) else (each,)
            )
        )

    def _takes_each(
        self, statements: tuple[Statement, ...], intercepted: InterceptedStatement
    ) -> bool:
        """Handle several statements in one string one by one; the last result counts for the string."""
        for position, statement in enumerate(statements):
            is_last = position == len(statements) - 1
            part = replace(intercepted, sql=statement.sql, parameters=(None,), is_many=False)
            if not is_last:
                part = replace(part, is_result_seen=False)
            if not self._takes(statement, (statement.sql,), part):
                part.give(part.fetch())
        return bool(statements)

    def _takes(
        self, statement: Statement, texts: tuple[str, ...], intercepted: InterceptedStatement
    ) -> bool:
        """Decide about a statement, and execute it here if it runs now, so that its result is recorded."""
        if self.session.is_pooled:
            with self._nothing_swallowed():
                refuse_without_session(statement, is_call=is_opaque_call(statement))
        if statement.kind in UNRECORDED:
            with self._nothing_swallowed():
                self._settings_or_control(statement)
            return False
        if self.state.has_driver:
            self._look_behind_driver()
        text = ";\n".join(texts)
        replay = self.queue.replay
        with self._nothing_swallowed():
            call = replay.given_back(text)
            if call is not None:
                if call.result is not None:
                    intercepted.give(call.result)
                return True
            dealt_with = self._deal_with(statement, texts, intercepted)
            if not dealt_with:
                intercepted = self._at_its_moment(statement, intercepted)
            self._refresh(intercepted)
        if dealt_with:
            return True
        if not intercepted.can_be_fetched:
            replay.unrepeatable = READS_CURSOR
            return False
        self._executes(text, statement, intercepted)
        return True

    def _executes(self, text: str, statement: Statement, intercepted: InterceptedStatement) -> None:
        if not self.session.in_autocommit():
            self._executes_and_records(text, intercepted)
        elif statement.kind in WRITES and may_commit_inside(statement):
            self._executes_once(text, statement, intercepted)
        elif statement.kind in WRITES:
            self._executes_in_a_transaction(text, statement, intercepted)
        else:
            self._executes_watched(text, statement, intercepted)

    def _at_its_moment(
        self, statement: Statement, intercepted: InterceptedStatement
    ) -> InterceptedStatement:
        """After a commit of ours, put the first transaction's time in the place of now() and its kin."""
        if len(intercepted.parameters) != 1 or not self._has_a_moment():
            return intercepted
        facts = self.queue.facts(statement) if statement.kind in WRITES else None
        told = at_its_moment(statement, facts=facts, now=self.queue.now)
        if told is statement:
            return intercepted
        return replace(intercepted, sql=told.sql, parameters=(None,), is_many=False)

    def _has_a_moment(self) -> bool:
        return self.queue.has_committed and not self.session.in_autocommit()

    def _executes_once(
        self, text: str, statement: Statement, intercepted: InterceptedStatement
    ) -> None:
        """Execute what may commit inside and is never repeated: record its start, then its end."""
        replay = self.queue.replay
        before, replay.unrepeatable = replay.unrepeatable, STARTED.format(sql=shortened(text))
        with self.session.transactional():
            self.queue.record_progress()
        self._executes_watched(text, statement, intercepted)
        replay.unrepeatable = before
        with self.session.transactional():
            self.queue.executes((text,))
            self.queue.record_progress()

    def _executes_in_a_transaction(
        self, text: str, statement: Statement, intercepted: InterceptedStatement
    ) -> None:
        """Execute and commit a statement by itself, together with its record."""
        with self.session.transactional():
            try:
                self._watch(statement)
                self._executes_and_records(text, intercepted)
                self.queue.executes((text,))
                self.queue.record_progress()
            except BaseException:
                self.session.rollback()  # under the guard, COMMIT would be an error of its own
                raise

    def _executes_watched(
        self, text: str, statement: Statement, intercepted: InterceptedStatement
    ) -> None:
        """Execute what commits itself under the guard: a function that it calls may lock anything."""
        self._watch(statement)
        self._executes_and_records(text, intercepted)
        if self.session.guard is not None:
            with self._nothing_swallowed():
                self.session.guard.disarm()

    def _watch(self, statement: Statement) -> None:
        if statement.kind is not StatementKind.HARMLESS:
            self.session.watch(
                own_wait=FIRST_LOCK,
                users_may_wait=self.users_may_wait(statement),
                ends_when_idle=False,
            )
        if is_opaque_call(statement):
            self.count_body(statement)

    def _executes_and_records(self, text: str, intercepted: InterceptedStatement) -> None:
        result = intercepted.fetch()
        intercepted.give(result)
        self.queue.replay.add(text, result)

    def _deal_with(
        self, statement: Statement, texts: tuple[str, ...], intercepted: InterceptedStatement
    ) -> bool:
        """Do what the route says; give True if the driver must not execute the statement."""
        entry = self._entry_of(statement, intercepted)
        if entry is not None and self._has_to_do_with_what_waits(entry, texts):
            return True
        sighting = Sighting(
            kind=statement.kind,
            is_result_seen=intercepted.is_result_seen,
            lasts=statement.kind is StatementKind.WRITE and entry is not None and _is_long(entry),
        )
        place = (
            StatementPlace.AUTOCOMMIT
            if self.session.in_autocommit()
            else StatementPlace.TRANSACTION
        )
        way = route(self.state, sighting, place=place)
        self.do_before(way.before, because_of=statement)
        if place is StatementPlace.AUTOCOMMIT and way.then is Then.DRIVER:
            return False
        return self._obey(way, statement, texts, entry)

    def _has_to_do_with_what_waits(self, entry: QueueEntry, texts: tuple[str, ...]) -> bool:
        """Whether a revert finds the object still there; raises for what must be finished first."""
        waits = self.work.recorded or self.work.recorded_by_others
        if self.work.releases is Releases.ONE and not waits:
            return False
        if is_there_already(entry.statement, facts=_facts(entry)):
            self.queue.replay.add(";\n".join(texts), None)
            return True
        self.queue.refuse_what_waits(entry)
        return False

    def _obey(
        self, way: Route, statement: Statement, texts: tuple[str, ...], entry: QueueEntry | None
    ) -> bool:
        if way.then is Then.WAIT and entry is not None:
            self._waits(texts, entry)
            return True
        if way.then is Then.NOW and entry is not None:
            return self._now(texts, entry)
        if self.state.is_single and entry is not None:
            self._is_kept_open(entry)
        if way.then is Then.CHECKED and entry is not None:
            facts = _facts(entry)
            refuse_undivided(entry.statement, facts=facts, today=self.work.today)
            self._before_driver(entry)
        else:
            self._before_data(statement, entry)
        return False

    def _entry_of(
        self, statement: Statement, intercepted: InterceptedStatement
    ) -> QueueEntry | None:
        """Give a queue entry, with facts where they matter: for DDL, and for a write that may wait."""
        may_wait = statement.kind is StatementKind.WRITE and not intercepted.is_result_seen
        if statement.kind in DDL:
            statement = self.queue.exempted(statement)
        elif not may_wait or not (statement.whole_table_write or self._writes_wait()):
            return None
        return self.queue.entry_of(statement, self.queue.facts(statement))

    def _writes_wait(self) -> bool:
        """Whether facts are needed for a write; a revision that writes row by row is not asked each time."""
        state = self.state
        return state.waiting >= WaitingWork.LOCKS or state.has_run or state.holds or state.is_single

    def _waits(self, texts: tuple[str, ...], entry: QueueEntry) -> None:
        """Queue the statement. Raises what is known to be impossible before anything is committed."""
        statement, facts = entry.statement, _facts(entry)
        is_ddl = statement.kind in DDL
        moment = moment_of(statement, facts=facts) if is_ddl else None
        if is_ddl and moment is None:
            rewrite(statement, facts=facts, today=self.work.today, ahead=self.queue.entries)
        self.queue.add(texts, entry, moment=moment)
        self.queue.note(statement, facts)
        weight = WaitingWork.LONG if moment is None else _weight(moment.locks)
        self._becomes(waiting=max(self.state.waiting, weight))

    def _now(self, texts: tuple[str, ...], entry: QueueEntry) -> bool:
        """Execute in the online form, committed and recorded; a short statement in a transaction as written."""
        statement, facts = entry.statement, _facts(entry)
        is_alone = self.session.in_autocommit() or self.driver_has_committed
        if not is_alone and self._is_kept_open(entry):
            self._before_data(statement, entry)
            return False
        if is_alone or _is_long(entry):
            rewrite(statement, facts=facts, today=self.work.today)
            self.queue.add(texts, entry, moment=None)
            self.queue.note(statement, facts)
            self._becomes(waiting=WaitingWork.LONG)
            self.run()
            return True
        self._before_driver(entry)
        return False

    def _is_kept_open(self, entry: QueueEntry) -> bool:
        """Whether the open transaction holds what users must not see; raises if `entry` would last in it."""
        done = [*self.queue.open, entry]
        look = entry.statement.sql
        return bool(divided_by_a_look((), done=done, look=look, today=self.work.today)[1])

    def _before_driver(self, entry: QueueEntry) -> None:
        """Prepare for DDL that the driver executes in the author's transaction."""
        self._takes_locks(entry)
        self.queue.note(entry.statement, _facts(entry))
        self.queue.executes((entry.statement.sql,))
        self.queue.catalog.forget()
        self.queue.open.append(entry)

    def _before_data(self, statement: Statement, entry: QueueEntry | None) -> None:
        if statement.kind is StatementKind.HARMLESS:
            return
        if statement.kind is StatementKind.NEVER_SPLIT:
            self._becomes(is_single=True)
        if statement.kind is StatementKind.WRITE_WITH_RESULT:
            self.queue.catalog.forget()  # a function may do anything
        if statement.kind in READS:
            name, sql = self.work.revision.revision, shortened(statement.sql)
            self.work.executor.report(RowsRead(revision=name, sql=sql))
        if isinstance(statement.node, pb.LockStmt):
            facts = self.queue.facts(statement)
            locks = locks_of(statement, facts=facts)
            allowed = self.users_may_wait(statement)
            self.lock_waits.for_locks(locks, holds=self.state.holds, users_may_wait=allowed)
            self._becomes(holds=True, has_done_something=True)
        elif is_opaque_call(statement):
            self._before_opaque(statement)
            self.queue.catalog.forget()
            self._becomes(holds=True)
        elif statement.kind not in DDL:
            self.lock_waits.for_rows()
        if statement.kind in WRITES:
            wrote = self.state.wrote or bool(relations_in(statement))
            self._becomes(wrote=wrote, has_done_something=True)
            self.queue.executes((statement.sql,))

    def _settings_or_control(self, statement: Statement) -> None:
        if statement.kind is not StatementKind.TRANSACTION_CONTROL:
            if calls_unknown_functions(statement):
                self.lock_waits.for_rows()
            self.queue.settings.note(statement)
            self.queue.catalog.forget()  # names may mean something else now
            return
        node = statement.node
        assert isinstance(node, pb.TransactionStmt)  # noqa: S101  # the kind says so
        if node.kind == pb.TRANS_STMT_PREPARE:
            raise PreparesTransaction(statement=shortened(statement.sql))
        if node.kind == pb.TRANS_STMT_SAVEPOINT:
            self.sets_savepoint()
        elif node.kind in (pb.TRANS_STMT_RELEASE, pb.TRANS_STMT_ROLLBACK_TO):
            self.ends_savepoint(rolled_back=node.kind == pb.TRANS_STMT_ROLLBACK_TO)
        elif node.kind in BEGINS:
            self._begins()
        elif node.kind == pb.TRANS_STMT_ROLLBACK:
            self.rolls_back()
            self._ends_what_it_began(self.session.rollback)
        else:
            self.commits()
            self._ends_what_it_began(self.session.commit)

    def _begins(self) -> None:
        """Begin a transaction where each statement commits itself; elsewhere there is one."""
        if self.session.in_autocommit():
            dialect, connection = self.session.dialect, self.session.dbapi_connection
            dialect.set_isolation_level(connection, "READ COMMITTED")
            self.began_in_autocommit = True

    def _has_failed_since(self) -> bool:
        """Whether the open transaction takes no statement any more."""
        try:
            self.session.has_written()
        except DBAPIError:
            return True
        return self.failure is not None

    def _ends_what_it_began(self, end: Callable[[], None]) -> None:
        """End the transaction that its BEGIN has begun, and let each statement commit itself again."""
        if self.began_in_autocommit:
            self.began_in_autocommit = False
            end()
            dialect, connection = self.session.dialect, self.session.dbapi_connection
            dialect.set_isolation_level(connection, "AUTOCOMMIT")

    # Handling the statements that wait.

    def do_before(self, before: Before, *, because_of: Statement | None = None) -> None:
        """Execute or run what waits, as the route of the next statement says."""
        if before is Before.EXECUTE:
            self._execute_for_a_look()
        elif before is Before.RUN:
            self._run_up_to_a_look(because_of)

    def _execute_for_a_look(self) -> None:
        """Execute what waits in the author's transaction, so that it can be undone and queued again."""
        can_go_back = self.state.mode(StatementPlace.TRANSACTION) in LOOKS
        if not self.queue.waiting or not can_go_back or self.session.in_autocommit():
            return self._execute_waiting()
        if self.before_look is None or not self.before_look.can_wait_again(self.state, self.queue):
            self.before_look = set_savepoint(self.session, self.state, self.queue)
        executed = (*self.before_look.statements, *self.queue.waiting)
        self._execute_waiting()
        self.before_look = replace(self.before_look, statements=executed)
        return None

    def _go_back_where_it_lasts(self) -> None:
        """Requeue what was executed for a look if something long belongs to it: both are planned together."""
        if self.before_look is None:
            return
        known = [entry for entry in self.queue.entries if entry.facts is not None]
        changes_type = any(may_write_rows(e.statement, facts=_facts(e)) for e in known)
        if changes_type or lasts_with_open(known, done=self.queue.open):
            self._go_back_to_look()
        self.before_look = None  # what was executed stays

    def _go_back_to_look(self) -> None:
        """Requeue what was executed for a look at the catalog, if nothing else was done since."""
        before_look, self.before_look = self.before_look, None
        if before_look is None or not before_look.can_wait_again(self.state, self.queue):
            return
        undo_and_requeue(self.session, before_look, self.queue)
        self.lock_waits.forget()
        self._becomes(
            holds=before_look.state.holds, has_done_something=before_look.state.has_done_something
        )

    def _run_up_to_a_look(self, because_of: Statement | None) -> None:
        """Run what waits, except what users must not see without statements that may follow the look."""
        sql = because_of.sql if because_of is not None else "(what the function does next)"
        if any(each.is_long for each in self.queue.waiting):
            self._go_back_to_look()
        head, tail, is_single = divided_by_a_look(
            self.queue.entries, done=self.queue.open, look=sql, today=self.work.today
        )
        if not tail:
            self.run()
            return
        kept = {entry.position for entry in tail}
        later = [each for each in self.queue.waiting if each.entry.position in kept]
        if head:
            self.run(keeping=later)
        self._execute_for_a_look()
        self._becomes(is_single=self.state.is_single or is_single)

    def _must_be_divided(self) -> bool:
        """Whether one transaction would hold a lock for long, or written rows under a lock."""
        locks = tuple(lock for each in self.queue.waiting for lock in each.locks)
        blocks = self.state.holds or any(lock.mode.blocks_users for lock in locks)
        return (
            self.state.waiting is WaitingWork.LONG
            or (blocks and self._is_called_once)
            or (blocks and self.state.wrote and bool(self.queue.waiting))
            or self.lock_waits.is_in_vain(locks)
        )

    @property
    def _is_called_once(self) -> bool:
        """Whether the function cannot be called again: what it has committed cannot be given back to it."""
        return self.queue.has_committed and self.queue.replay.unrepeatable is not None

    def _execute_waiting(self) -> None:
        """Execute all that waits in the author's transaction, in the order of the function."""
        if self.queue.waiting:
            self._execute_each(list(self.queue.waiting))
            self.queue.catalog.forget()
            self._becomes(waiting=WaitingWork.NOTHING)

    def _execute_each(self, statements: list[WaitingStatement]) -> None:
        """Execute statements, each under the settings that were in force when it was sent."""
        settings = in_force = self.queue.settings.in_force() if statements else ()
        for each in statements:
            if each.settings != in_force:
                self.session.set_locally(each.settings)
                in_force = each.settings
            self._execute(each)
            self.queue.waiting.remove(each)
        if in_force != settings:
            self.session.set_locally(settings)

    def _execute(self, waiting: WaitingStatement) -> None:
        if is_write(waiting.entry):
            self._before_write(waiting.entry)
            self._becomes(has_done_something=True, wrote=True)
        else:
            self._takes_locks(waiting.entry, waiting.moment)
        for text in waiting.texts:
            self.session.execute_sql(self._told(text, waiting.entry.facts))
        self.queue.executes(waiting.texts)
        self.queue.open.append(waiting.entry)

    def _told(self, sql: str, facts: Facts | None) -> str:
        if not self._has_a_moment():
            return sql
        each = [at_its_moment(s, facts=facts, now=self.queue.now) for s in parse(sql)]
        return ";\n".join(one.sql for one in each)

    def _before_write(self, entry: QueueEntry) -> None:
        if is_opaque_call(entry.statement):
            self._before_opaque(entry.statement, position=entry.position)
            self._becomes(holds=True)
        else:
            self.lock_waits.for_rows()

    def _before_opaque(self, statement: Statement, *, position: int = 0) -> None:
        self.lock_waits.for_anything(users_may_wait=self.users_may_wait(statement))
        self.count_body(statement, position=position)

    def count_body(self, statement: Statement, *, position: int = 0) -> None:
        """Report a statement whose body may do anything, with its number among the steps."""
        allowed, step = self.users_may_wait(statement), TransactionStep(sql=(statement.sql,))
        self.queue.counts(step, statement, position=position, is_allowed=allowed)

    def users_may_wait(self, statement: Statement) -> bool:
        """Whether the author allows users to wait for the statement, in a comment that is still valid."""
        return is_exempted(self.queue.exempted(statement), today=self.work.today)

    def _takes_locks(self, entry: QueueEntry, moment: TransactionStep | None = None) -> None:
        """Prepare for DDL that is executed as it is written, in the author's transaction."""
        allowed = is_exempted(entry.statement, today=self.work.today)
        step = moment or as_written(entry.statement, facts=_facts(entry))
        is_opaque = is_opaque_ddl(entry.statement.node)
        if is_opaque:
            self.lock_waits.for_anything(users_may_wait=allowed)
        else:
            self.lock_waits.for_locks(step.locks, holds=self.state.holds, users_may_wait=allowed)
        blocks = is_opaque or any(lock.mode.blocks_users for lock in step.locks)
        self._becomes(has_done_something=True, holds=self.state.holds or blocks)
        self.queue.counts(step, entry.statement, position=entry.position, is_allowed=allowed)

    def run(
        self, *, function_ended: bool = False, keeping: Sequence[WaitingStatement] = ()
    ) -> None:
        """Commit what was done and run what waits except `keeping`; together with what was done if possible."""
        self.queue.waiting = [each for each in self.queue.waiting if each not in keeping]
        self._go_back_where_it_lasts()
        if self.queue.waiting and not self._must_be_divided():
            self._execute_waiting()
        units = self._planned(is_told=True)
        is_divided = self.state.is_divided or not self.session.in_autocommit()
        self.queue.run(units, function_ended=function_ended, keeping=keeping)
        self.lock_waits.forget()
        if not function_ended:
            self.session.restore_local_settings()
        self.state = replace(
            RevisionState(has_run=True, is_divided=is_divided),
            savepoints=self.state.savepoints,
            is_single=self.state.is_single,
            has_driver=self.state.has_driver,
        )

    def _planned(self, *, is_told: bool = False) -> tuple[Unit, ...]:
        """Execute in the open transaction what can be, and give the units that are left.

        That is what completes something which it has begun, and what stands in front of all that lasts.
        """
        left = list(self._units())
        self.refuse_what_does_not_fit(self.queue.entries, is_told=is_told)
        while left and (left[0].joins_open or self._is_over_soon(left[0])):
            self._execute_each(self.queue.statements_of(left.pop(0)))
        return tuple(left)

    def _units(self) -> tuple[Unit, ...]:
        """Plan all that waits as a whole; one statement of DDL alone needs no rules."""
        entries, done = self.queue.entries, self.queue.open
        if len(entries) == 1 and not done and entries[0].statement.kind is StatementKind.DDL:
            return (Unit(entries=tuple(entries)),)
        wrote = self.state.wrote and not self.state.holds
        try:
            return plan_queue(entries, done=done, wrote=wrote, today=self.work.today)
        except RefusedStatement as refused:
            refused.place = refused.place or self.queue.place_of(refused.statement)
            raise

    def refuse_what_does_not_fit(
        self, entries: Sequence[QueueEntry], *, is_told: bool = False
    ) -> None:
        """Refuse what the free disk is too small for: a full disk would stop the server."""
        needs = disk_needs(entries, today=self.work.today)
        if needs:
            free = free_disk(self.session.connection, told=self.work.free_disk)
            refuse_more_than_fits(needs, free=free)
            if is_told:
                name, size = self.work.revision.revision, sum(need.bytes for need in needs)
                self.work.executor.report(DiskNeeded(revision=name, bytes=size, free=free))

    def _is_over_soon(self, unit: Unit) -> bool:
        """Whether a unit may be committed together with what is done, and with the record of the rest."""
        if self.session.in_autocommit():
            return False
        if self._is_called_once:
            return False  # a lock that is not free must not be a reason to call the function again
        parts = self.queue.statements_of(unit)
        every = tuple(lock for each in self.queue.waiting for lock in each.locks)
        blocks = any(lock.mode.blocks_users for each in parts for lock in each.locks)
        return (
            not any(each.is_long for each in parts)
            and not (blocks and self.state.wrote)
            and not self.lock_waits.is_in_vain(every)
            and [each.entry for each in parts] == list(unit.entries)
        )

    def _becomes(self, **changes: object) -> None:
        self.state = replace(self.state, **changes)  # type: ignore[arg-type]  # fields of RevisionState

    def _refresh(self, intercepted: InterceptedStatement) -> None:
        """Renew asyncpg's cache stamp of the caller's cursor: our DDL came after SQLAlchemy had set it."""
        stamp = getattr(self.session.dialect, "_invalidate_schema_cache_asof", None)
        if stamp is not None and intercepted.on_migration_connection:
            intercepted.cursor._invalidate_schema_cache_asof = stamp  # type: ignore[attr-defined]  # noqa: SLF001  # see above

    @contextmanager
    def _nothing_swallowed(self) -> Iterator[None]:
        """Keep an error of ours: it ends the revision, even if the author catches it."""
        try:
            yield
        except BaseException as error:
            self.failure = error
            raise


def _is_long(entry: QueueEntry) -> bool:
    return moment_of(entry.statement, facts=_facts(entry)) is None


def _facts(entry: QueueEntry) -> Facts:
    assert entry.facts is not None  # noqa: S101  # entry_of() has asked
    return entry.facts


def _weight(locks: tuple[Lock, ...]) -> WaitingWork:
    return WaitingWork.LOCKS if any(lock.mode.blocks_users for lock in locks) else WaitingWork.FREE
