"""Decides for each statement of a revision: now, later, or not like this.

Three ways, decided by the statements themselves. Nothing long, nothing held while rows are written: one transaction, as
Alembic would (way 1). The first long statement opens a queue, and what follows is queued behind it until
the function has returned (way 2). A read, or a write whose result Python sees, behind something queued: the queue
runs first, then the function goes on (way 3).
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

from postgast import pg_query_pb2 as pb
from sqlalchemy import text

from holdfast.alembic_door import Arrival
from holdfast.author import excuse_at_call
from holdfast.errors.migration import RollbackAfterCommit
from holdfast.errors.plan import UnparsableStatement
from holdfast.observe.catalog import facts_for
from holdfast.observe.sqlstate import DEADLOCK_DETECTED, LOCK_NOT_AVAILABLE, sqlstate
from holdfast.plan.facts import Facts
from holdfast.plan.locks import Lock
from holdfast.plan.mentions import relations_in
from holdfast.plan.names import QualifiedName
from holdfast.plan.new_relations import NewRelations
from holdfast.plan.online import Duration, duration, rewrite
from holdfast.plan.rewriting import as_written
from holdfast.plan.statement import Statement, parse, shortened
from holdfast.plan.statement_kind import StatementKind
from holdfast.plan.statement_locks import locks_of
from holdfast.plan.steps import BuildIndexStep, DropIndexStep
from holdfast.progress import RowsRead, StatementPlanned
from holdfast.replay import Replay
from holdfast.run.executor import Executor, Forgetful
from holdfast.run.journal import Journal, Queued, Unfinished
from holdfast.run.lock_patience import LOCK_WHILE_HOLDING, Timeouts, set_local
from holdfast.run.recorded import Call
from holdfast.run.session import LocalSetting, MigrationSession

# What only holds for its session or its transaction is sent again in a replay.
UNRECORDED = (StatementKind.SET, StatementKind.SET_LOCAL, StatementKind.TRANSACTION_CONTROL)
# So often a revision without long statements is tried in one transaction; then it takes one table after the other.
TRIES_AS_ONE = 10

WRITES = (StatementKind.WRITE, StatementKind.WRITE_WITH_RESULT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Undertaking:
    """What a keeper works for and with: the same for every try of a revision's function."""

    session: MigrationSession
    journal: Journal
    executor: Executor
    revision: Unfinished  # as it is recorded when something of it is committed
    file: Path
    today: date
    tried_before: bool  # an earlier run of this revision was killed
    lock_timeout_of_rows: timedelta  # the session's own, for statements that only wait for rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted:
    """Where an earlier call of the function was interrupted, after it had committed something."""

    new: NewRelations
    committed: tuple[str, ...]
    calls: tuple[Call, ...]


class OnlineKeeper:
    """Keeps the door for one call of a revision's function."""

    def __init__(
        self,
        undertaking: Undertaking,
        timeouts: Timeouts,
        interrupted: Interrupted | None = None,
        *,
        tries: int = 0,
    ) -> None:
        self.work = undertaking
        self.tries = tries  # in vain, before this one
        self.session = undertaking.session
        self.timeouts = timeouts
        self.new = interrupted.new if interrupted else NewRelations()
        self.replay = Replay(
            undertaking.revision.revision, interrupted.calls if interrupted else ()
        )
        self.queue: list[Queued] = []
        self.emptied: frozenset[QualifiedName] = frozenset()  # perhaps, by what is queued
        # Part of the function's work: it can be called again only with what is recorded.
        self.has_committed = self.queue_is_open = interrupted is not None
        self.is_plain = False  # to the end of the function, in the author's own transaction
        self.savepoints = 0
        self.failure: BaseException | None = None
        self.wanted: tuple[Lock, ...] = ()
        self.settings: set[str] = set()
        # By the driver, as the function sent it:
        self.executed: list[str] = list(interrupted.committed) if interrupted else []
        # Of the open transaction:
        self.holds = False  # a lock that blocks users
        self.wrote = False  # rows of a table that was there before
        self.has_done_something = False
        self.in_force: Timeouts | None = None

    # What the door tells.

    def arrives(self, arrival: Arrival) -> bool:
        """Deal with one statement, or let the driver execute it."""
        if self.failure is not None:  # and its author has caught it: not even the driver goes on
            raise self.failure
        if not arrival.on_migration_connection:
            with self._nothing_swallowed():
                return self._on_second_connection(arrival)
        with self._nothing_swallowed():
            statements = self._statements_of(arrival)
        if len(statements) == 1:
            return self._takes(statements[0], arrival.texts(), arrival)
        return self._takes_each(statements, arrival)

    def commits(self) -> None:
        """What was done so far becomes permanent: record that the function cannot be repeated."""
        has_work = self.has_done_something and not self.session.in_autocommit()
        if not self.replay.is_going_on and (self.queue or has_work):
            with self._nothing_swallowed():
                self.flush()

    def rolls_back(self) -> None:
        """Forget with the author what was done and queued, if nothing of it is committed yet."""
        if self.has_committed:
            self.failure = RollbackAfterCommit(revision=self.work.revision.revision)
            raise self.failure
        self.queue.clear()
        self.emptied = frozenset()
        self.queue_is_open = False
        self.new = NewRelations()
        self.executed.clear()
        self.replay.new.clear()
        self._forget_transaction()

    def sets_savepoint(self) -> None:
        """Inside a savepoint the author expects errors in place: nothing may be queued before it."""
        with self._nothing_swallowed():
            if self.queue:
                self.flush()
        self.savepoints += 1

    def ends_savepoint(self, *, rolled_back: bool) -> None:
        """Back outside. What was undone is in no record, so the function could not be replayed."""
        self.savepoints -= 1
        if rolled_back:
            self.replay.unrepeatable = "it has rolled a savepoint back"

    def fails(self, error: BaseException) -> None:
        """A lock that was not free undoes the transaction, whatever the author catches."""
        if sqlstate(error) in (LOCK_NOT_AVAILABLE, DEADLOCK_DETECTED):
            self.failure = error

    # What the revision does at the end, and a flush in between.

    def finish(self) -> None:
        """The function has returned: run what is queued. Leaves only the version row to be written."""
        self.replay.require_end()
        if self.queue or self.has_committed:
            self._run_queue(function_ended=True)

    def flush(self) -> None:
        """Commit what was done, run what is queued, then let the function go on."""
        self._run_queue(function_ended=False)
        self.session.restore_local_settings()

    def _run_queue(self, *, function_ended: bool) -> None:
        settings = self._settings_in_force()
        self._record(function_ended=function_ended)
        self.session.commit()
        self.has_committed = True
        self.queue.clear()
        self.emptied = frozenset()
        self._forget_transaction()
        for statement in self.work.journal.queued():
            self.work.executor.run(statement)
        self.session.local_settings = _merged(self.session.local_settings, settings)

    # What happens to one statement.

    def _statements_of(self, arrival: Arrival) -> tuple[Statement, ...]:
        if not arrival.can_be_fetched and getattr(arrival.cursor, "name", None):
            self._never_split()  # a server-side cursor lives in its transaction
            return ()
        try:
            return parse(arrival.texts()[0])
        except UnparsableStatement:
            if self.queue:
                self.flush()
            return ()  # PostgreSQL will say what is wrong with it

    def _takes_each(self, statements: tuple[Statement, ...], arrival: Arrival) -> bool:
        """Several statements in one string: one by one, the last one's result is the string's."""
        for position, statement in enumerate(statements):
            is_last = position == len(statements) - 1
            part = replace(arrival, sql=statement.sql, parameters=(None,), is_many=False)
            if not is_last:
                part = replace(part, is_result_seen=False)
            if not self._takes(statement, (statement.sql,), part):
                part.give(part.fetch())
        return bool(statements)

    def _takes(self, statement: Statement, texts: tuple[str, ...], arrival: Arrival) -> bool:
        """Decide, and execute here what is to be executed now, so that its result can be recorded."""
        if statement.kind in UNRECORDED:
            with self._nothing_swallowed():
                return self._deal_with(statement, texts, arrival)
        text = ";\n".join(texts)
        with self._nothing_swallowed():
            call = self.replay.given_back(text)
            if call is not None:
                if call.result is not None:
                    arrival.give(call.result)
                return True
            dealt_with = self._deal_with(statement, texts, arrival)
            self._refresh(arrival)
        if dealt_with:
            self.replay.add(text, None)
            self._record_calls_at_once()
            return True
        if not arrival.can_be_fetched:
            self.replay.unrepeatable = "SQLAlchemy reads a cursor itself"
            return False
        result = arrival.fetch()
        arrival.give(result)
        self.replay.add(text, result)
        return True

    def _record_calls_at_once(self) -> None:
        """What ran in AUTOCOMMIT is done, whatever becomes of the function."""
        if self.session.in_autocommit() and self.has_committed:
            self._record_calls()

    def _record_calls(self) -> None:
        self.work.journal.add_calls(self.replay.new)
        self.replay.new.clear()

    def _deal_with(self, statement: Statement, texts: tuple[str, ...], arrival: Arrival) -> bool:
        kind = statement.kind
        if kind is StatementKind.HARMLESS:
            return False
        if kind in (StatementKind.SET, StatementKind.SET_LOCAL):
            self.settings |= _names_set(statement)
            return False
        if kind is StatementKind.TRANSACTION_CONTROL:
            return self._control_transaction(statement)
        if self.session.in_autocommit():
            return self._at_once(statement)
        if kind is StatementKind.NEVER_SPLIT:
            self._never_split()
        if self.is_plain or self.savepoints:
            return self._plainly(statement)
        if kind in (StatementKind.DDL, StatementKind.TEMP):
            return self._ddl(statement, texts)
        return self._data(statement, texts, arrival)

    def _ddl(self, statement: Statement, texts: tuple[str, ...]) -> bool:
        statement = self._with_excuse(statement)
        facts = self._facts(statement)
        locks = locks_of(statement, facts=facts)
        blocks = any(lock.mode.blocks_users for lock in locks)
        long = duration(statement, facts=facts) is Duration.LONG
        if long and not self.queue:
            rewrite(
                statement, facts=facts, today=self.work.today
            )  # refuses before anything is committed
        if self.queue_is_open or long or (blocks and (self.wrote or self._divides(locks))):
            self._enqueue(texts, statement)
            dealt_with = True
        else:
            self._lock_timeout_for(locks)
            self.holds = self.holds or blocks
            self._executes(texts)
            self._report_plan(statement, facts)
            dealt_with = False
        self._note(statement, facts)
        return dealt_with

    def _report_plan(self, statement: Statement, facts: Facts) -> None:
        self.work.executor.report(
            StatementPlanned(
                revision=self.work.revision.revision,
                sql=shortened(statement.sql),
                steps=(as_written(statement, facts=facts),),
                is_queued=False,
            )
        )

    def _divides(self, locks: tuple[Lock, ...]) -> bool:
        """Whether a second table is wanted under the lock on a first, and has been in vain many times."""
        held = {lock.relation for lock in self.wanted}
        return (
            self.tries >= TRIES_AS_ONE
            and self.holds
            and any(lock.relation not in held for lock in locks)
        )

    def _data(self, statement: Statement, texts: tuple[str, ...], arrival: Arrival) -> bool:
        may_wait = statement.kind is StatementKind.WRITE and not arrival.is_result_seen
        if may_wait and (self.queue_is_open or self.holds or self._writes_all_rows(statement)):
            self._enqueue(texts, statement)
            return True
        if self.queue or (self.holds and statement.kind is not StatementKind.CATALOG_READ):
            self._flush_before(arrival)
        if statement.kind in (StatementKind.READ, StatementKind.WRITE_WITH_RESULT):
            name, sql = self.work.revision.revision, shortened(statement.sql)
            self.work.executor.report(RowsRead(revision=name, sql=sql))
        if isinstance(statement.node, pb.DoStmt | pb.CallStmt):
            self._use(self.timeouts)  # what is in it cannot be seen: assume a lock
            self.holds = True
        else:
            self._no_lock_timeout()  # it would count for row locks too
        if statement.kind in WRITES:
            self.wrote = self.wrote or bool(relations_in(statement))
            self._executes(texts)
        return False

    def _writes_all_rows(self, statement: Statement) -> bool:
        if statement.whole_table_write is None:
            return False
        return duration(statement, facts=self._facts(statement)) is Duration.LONG

    def _at_once(self, statement: Statement) -> bool:
        """In AUTOCOMMIT: its online form, now, on the connection as it is."""
        if statement.kind is not StatementKind.DDL:
            return False
        statement = self._with_excuse(statement)
        facts = self._facts(statement)
        steps = rewrite(statement, facts=facts, today=self.work.today)
        if not all(isinstance(step, BuildIndexStep | DropIndexStep) for step in steps):
            self._record_commit()  # an index can be looked at again, other things cannot
        memory = Forgetful(tried_before=self.work.tried_before)
        replace(self.work.executor, memory=memory).run(self._queued(statement.sql, statement))
        self._note(statement, facts)
        return True

    def _plainly(self, statement: Statement) -> bool:
        """As written, in the author's transaction or savepoint."""
        if statement.kind is StatementKind.DDL:
            facts = self._facts(statement)
            locks = locks_of(statement, facts=facts)
            self._lock_timeout_for(locks)
            self.holds = self.holds or any(lock.mode.blocks_users for lock in locks)
            self._report_plan(statement, facts)
            self._note(statement, facts)
        else:
            self._no_lock_timeout()
        self._executes((statement.sql,))
        return False

    def _on_second_connection(self, arrival: Arrival) -> bool:
        """Never queued: what is queued runs first, then this at once, online where it can be."""
        if self.queue:
            self.flush()
        if not arrival.connection.connection.dbapi_connection.autocommit:  # type: ignore[union-attr]  # every driver here has it
            return False
        statements = parse(arrival.texts()[0])
        if len(statements) != 1 or statements[0].kind is not StatementKind.DDL:
            return False
        with closing(MigrationSession(arrival.connection)) as session:
            executor = replace(
                self.work.executor,
                session=session,
                memory=Forgetful(tried_before=self.work.tried_before),
                patience=replace(self.work.executor.patience, session=session),
            )
            executor.run(self._queued(statements[0].sql, statements[0]))
        return True

    def _control_transaction(self, statement: Statement) -> bool:
        node = statement.node
        assert isinstance(node, pb.TransactionStmt)  # noqa: S101  # the kind says so
        if node.kind == pb.TRANS_STMT_SAVEPOINT:
            self.sets_savepoint()
        elif node.kind in (pb.TRANS_STMT_RELEASE, pb.TRANS_STMT_ROLLBACK_TO):
            self.ends_savepoint(rolled_back=node.kind == pb.TRANS_STMT_ROLLBACK_TO)
        elif node.kind == pb.TRANS_STMT_ROLLBACK:
            self.rolls_back()
        else:
            self.commits()
        return False

    # Parts of these.

    def _enqueue(self, texts: tuple[str, ...], statement: Statement) -> None:
        self.queue_is_open = True
        self.queue += [self._queued(sql, statement) for sql in texts]
        if isinstance(statement.node, pb.DeleteStmt | pb.TruncateStmt):
            self.emptied |= {found.name for found in self._facts(statement).relations.values()}

    def _executes(self, texts: tuple[str, ...]) -> None:
        self.has_done_something = True
        self.executed += (shortened(text) for text in texts)

    def _queued(self, sql: str, statement: Statement) -> Queued:
        if statement.excuse is not None:
            # The journal keeps text: an excuse from a Python comment becomes one of SQL.
            sql = f"{sql}\n-- holdfast: allow {statement.excuse.reason} until {statement.excuse.until}"
        return Queued(
            sql=sql,
            new=self.new,
            settings=self._settings_in_force(),
            today=self.work.today.isoformat(),
        )

    def _with_excuse(self, statement: Statement) -> Statement:
        if statement.excuse is not None:
            return statement
        return replace(statement, excuse=excuse_at_call(self.work.file))

    def _facts(self, statement: Statement) -> Facts:
        facts = facts_for(self.session.connection, statement, new=self.new)
        return replace(facts, with_rows=facts.with_rows - self.emptied)

    def _note(self, statement: Statement, facts: Facts) -> None:
        existing = [relation.name for relation in facts.relations.values() if not relation.is_new]
        self.new = self.new.after(statement, current_schema=facts.current_schema, existing=existing)

    def _never_split(self) -> None:
        if self.queue:
            self.flush()
        self.is_plain = True

    def _flush_before(self, arrival: Arrival) -> None:
        if self.queue or self.holds:
            self.flush()
            self._refresh(arrival)

    def _refresh(self, arrival: Arrival) -> None:
        """asyncpg: SQLAlchemy has stamped the caller's cursor before our own DDL made caches stale."""
        stamp = getattr(self.session.dialect, "_invalidate_schema_cache_asof", None)
        if stamp is not None and arrival.on_migration_connection:
            arrival.cursor._invalidate_schema_cache_asof = stamp  # type: ignore[attr-defined]  # noqa: SLF001  # see above

    def _record(self, *, function_ended: bool) -> None:
        revision = replace(
            self.work.revision,
            function_ended=function_ended,
            committed=tuple(self.executed),
            new=self.new,
            unrepeatable=self.replay.unrepeatable,
        )
        self.work.journal.open(revision, self.queue)
        if not function_ended:
            self._record_calls()

    def _record_commit(self) -> None:
        if not self.has_committed:
            self.has_committed = True
            with self.session.transactional():
                self._record(function_ended=False)

    def _settings_in_force(self) -> tuple[LocalSetting, ...]:
        """What the author has SET, as it is now: a queued statement runs under the same."""
        return tuple(
            LocalSetting(
                name=name,
                setting=self.session.execute(
                    text("SELECT current_setting(:name)"), {"name": name}
                ).scalar_one(),
            )
            for name in sorted(self.settings)
        )

    def _lock_timeout_for(self, locks: tuple[Lock, ...]) -> None:
        if not locks:
            return
        self.wanted += locks
        lock = LOCK_WHILE_HOLDING if self.holds else self.timeouts.lock
        self._use(replace(self.timeouts, lock=lock))

    def _no_lock_timeout(self) -> None:
        if self.in_force is not None:
            set_local(self.session, "lock_timeout", self.work.lock_timeout_of_rows)
            self.in_force = None

    def _use(self, timeouts: Timeouts) -> None:
        if timeouts != self.in_force:
            timeouts.apply(self.session)
            self.in_force = timeouts

    def _forget_transaction(self) -> None:
        self.holds = self.wrote = self.has_done_something = False
        self.in_force = None

    @contextmanager
    def _nothing_swallowed(self) -> Iterator[None]:
        """An error of ours ends the revision, even if the author catches it."""
        try:
            yield
        except BaseException as error:
            self.failure = error
            raise


def _names_set(statement: Statement) -> set[str]:
    node = statement.node
    if isinstance(node, pb.VariableSetStmt):
        return {node.name} if node.name else set()
    # SELECT set_config('search_path', ..): its first argument
    values = [
        call.args[0].a_const.sval.sval
        for target in getattr(node, "target_list", ())
        if (call := target.res_target.val.func_call).funcname
        and call.funcname[-1].string.sval == "set_config"
    ]
    return {value for value in values if value}


def _merged(
    before: tuple[LocalSetting, ...], more: tuple[LocalSetting, ...]
) -> tuple[LocalSetting, ...]:
    names = {setting.name for setting in more}
    return (*(setting for setting in before if setting.name not in names), *more)
