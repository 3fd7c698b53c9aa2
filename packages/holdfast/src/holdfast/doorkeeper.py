"""Decides for each statement of a revision: now, later, or not like this.

Three ways, decided by the statements themselves. Nothing long, nothing held while rows are written: one transaction, as
Alembic would (way 1). The first long statement opens a queue, and what follows is queued behind it until
the function has returned (way 2). A read, or a write whose result Python sees, behind something queued: the queue
runs first, then the function goes on (way 3).
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

from postgast import pg_query_pb2 as pb

from holdfast.alembic_door import Arrival
from holdfast.errors.migration import RollbackAfterCommit
from holdfast.errors.plan import UnparsableStatement
from holdfast.observe.sqlstate import DEADLOCK_DETECTED, LOCK_NOT_AVAILABLE, sqlstate
from holdfast.open_transaction import OpenTransaction
from holdfast.plan.facts import Facts
from holdfast.plan.mentions import relations_in
from holdfast.plan.online import Duration, duration, rewrite
from holdfast.plan.rewriting import as_written
from holdfast.plan.statement import Statement, parse, shortened
from holdfast.plan.statement_kind import StatementKind
from holdfast.plan.statement_locks import locks_of
from holdfast.plan.undivided import refuse_undivided
from holdfast.progress import RowsRead, StatementPlanned
from holdfast.revision_queue import RevisionQueue
from holdfast.run.executor import Forgetful
from holdfast.run.lock_patience import Timeouts
from holdfast.run.session import MigrationSession
from holdfast.undertaking import Interrupted, Undertaking

# What only holds for its session or its transaction is sent again in a replay.
UNRECORDED = (StatementKind.SET, StatementKind.SET_LOCAL, StatementKind.TRANSACTION_CONTROL)
WRITES = (StatementKind.WRITE, StatementKind.WRITE_WITH_RESULT)


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
        self.session = undertaking.session
        self.queue = RevisionQueue(undertaking, interrupted)
        self.transaction = OpenTransaction(
            session=undertaking.session,
            timeouts=timeouts,
            lock_timeout_of_rows=undertaking.lock_timeout_of_rows,
            tries=tries,
        )
        self.queue_is_open = interrupted is not None
        self.is_plain = False  # to the end of the function, in the author's own transaction
        self.savepoints = 0
        self.failure: BaseException | None = None

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
        has_work = self.transaction.has_done_something and not self.session.in_autocommit()
        if not self.queue.replay.is_going_on and (self.queue or has_work):
            with self._nothing_swallowed():
                self.flush()

    def rolls_back(self) -> None:
        """Forget with the author what was done and queued, if nothing of it is committed yet."""
        if self.queue.has_committed:
            self.failure = RollbackAfterCommit(revision=self.work.revision.revision)
            raise self.failure
        self.queue.forget()
        self.queue_is_open = False
        self.transaction.forget()

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
            self.queue.replay.unrepeatable = "it has rolled a savepoint back"

    def fails(self, error: BaseException) -> None:
        """A lock that was not free undoes the transaction, whatever the author catches."""
        if sqlstate(error) in (LOCK_NOT_AVAILABLE, DEADLOCK_DETECTED):
            self.failure = error

    # What the revision does at the end, and a flush in between.

    def finish(self) -> None:
        """The function has returned: run what is queued. Leaves only the version row to be written."""
        self.queue.replay.require_end()
        if self.queue or self.queue.has_committed:
            self.queue.run(function_ended=True)

    def flush(self) -> None:
        """Commit what was done, run what is queued, then let the function go on."""
        self.queue.run(function_ended=False)
        self.transaction.forget()
        self.session.restore_local_settings()

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
        replay = self.queue.replay
        with self._nothing_swallowed():
            call = replay.given_back(text)
            if call is not None:
                if call.result is not None:
                    arrival.give(call.result)
                return True
            dealt_with = self._deal_with(statement, texts, arrival)
            self._refresh(arrival)
        if dealt_with:
            return True
        if not arrival.can_be_fetched:
            replay.unrepeatable = "SQLAlchemy reads a cursor itself"
            return False
        result = arrival.fetch()
        arrival.give(result)
        replay.add(text, result)
        return True

    def _deal_with(self, statement: Statement, texts: tuple[str, ...], arrival: Arrival) -> bool:
        kind = statement.kind
        if kind is StatementKind.HARMLESS:
            return False
        if kind in (StatementKind.SET, StatementKind.SET_LOCAL):
            self.queue.settings.note(statement)
            return False
        if kind is StatementKind.TRANSACTION_CONTROL:
            return self._control_transaction(statement)
        if self.session.in_autocommit():
            return self._at_once(statement, texts)
        if kind is StatementKind.NEVER_SPLIT:
            self._never_split()
        if self.is_plain or self.savepoints:
            return self._plainly(statement)
        if kind in (StatementKind.DDL, StatementKind.TEMP):
            return self._ddl(statement, texts)
        return self._data(statement, texts, arrival)

    def _ddl(self, statement: Statement, texts: tuple[str, ...]) -> bool:
        statement = self.queue.excused(statement)
        facts = self.queue.facts(statement)
        locks = locks_of(statement, facts=facts)
        blocks = any(lock.mode.blocks_users for lock in locks)
        long = duration(statement, facts=facts) is Duration.LONG
        if long:  # refuses before anything is committed, wherever that can be known
            rewrite(statement, facts=facts, today=self.work.today, ahead=self.queue.ahead)
        divides = blocks and (self.transaction.wrote or self.transaction.divides(locks))
        if self.queue_is_open or long or divides:
            self._enqueue(texts, statement, facts)
            dealt_with = True
        else:
            self._executes_ddl(statement, facts)
            self._executes(texts)
            dealt_with = False
        self.queue.note(statement, facts)
        return dealt_with

    def _executes_ddl(self, statement: Statement, facts: Facts) -> None:
        locks = locks_of(statement, facts=facts)
        self.transaction.wait_for(locks)
        self.transaction.holds_now(locks)
        self.work.executor.report(
            StatementPlanned(
                revision=self.work.revision.revision,
                sql=shortened(statement.sql),
                steps=(as_written(statement, facts=facts),),
                is_queued=False,
            )
        )

    def _data(self, statement: Statement, texts: tuple[str, ...], arrival: Arrival) -> bool:
        may_wait = statement.kind is StatementKind.WRITE and not arrival.is_result_seen
        facts = self.queue.facts(statement) if may_wait and statement.whole_table_write else None
        is_long = facts is not None and duration(statement, facts=facts) is Duration.LONG
        if may_wait and (self.queue_is_open or self.transaction.holds or is_long):
            self._enqueue(texts, statement, facts)
            return True
        holds = self.transaction.holds and statement.kind is not StatementKind.CATALOG_READ
        if self.queue or holds:
            self.flush()
            self._refresh(arrival)
        if statement.kind in (StatementKind.READ, StatementKind.WRITE_WITH_RESULT):
            name, sql = self.work.revision.revision, shortened(statement.sql)
            self.work.executor.report(RowsRead(revision=name, sql=sql))
        if isinstance(statement.node, pb.DoStmt | pb.CallStmt):
            self.transaction.wait_for_anything()
        else:
            self.transaction.wait_for_rows()
        if statement.kind in WRITES:
            self.transaction.wrote = self.transaction.wrote or bool(relations_in(statement))
            self._executes(texts)
        return False

    def _at_once(self, statement: Statement, texts: tuple[str, ...]) -> bool:
        """In AUTOCOMMIT: its online form, now; recorded, so that after a kill it is gone on with."""
        if statement.kind is not StatementKind.DDL:
            return False
        statement = self.queue.excused(statement)
        facts = self.queue.facts(statement)
        rewrite(statement, facts=facts, today=self.work.today)
        self.queue.add(texts, statement, facts)
        self.queue.note(statement, facts)
        self.flush()
        return True

    def _plainly(self, statement: Statement) -> bool:
        """As written, in the author's transaction or savepoint, where that is over soon."""
        if statement.kind is StatementKind.DDL:
            statement = self.queue.excused(statement)
            facts = self.queue.facts(statement)
            refuse_undivided(statement, facts=facts, today=self.work.today)
            self._executes_ddl(statement, facts)
            self.queue.note(statement, facts)
        else:
            self.transaction.wait_for_rows()
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
            executor.run(self.queue.entry(statements[0].sql, statements[0]))
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

    def _enqueue(self, texts: tuple[str, ...], statement: Statement, facts: Facts | None) -> None:
        self.queue_is_open = True
        self.queue.add(texts, statement, facts)

    def _executes(self, texts: tuple[str, ...]) -> None:
        self.transaction.has_done_something = True
        self.queue.executes(texts)

    def _never_split(self) -> None:
        if self.queue:
            self.flush()
        self.is_plain = True

    def _refresh(self, arrival: Arrival) -> None:
        """asyncpg: SQLAlchemy has stamped the caller's cursor before our own DDL made caches stale."""
        stamp = getattr(self.session.dialect, "_invalidate_schema_cache_asof", None)
        if stamp is not None and arrival.on_migration_connection:
            arrival.cursor._invalidate_schema_cache_asof = stamp  # type: ignore[attr-defined]  # noqa: SLF001  # see above

    @contextmanager
    def _nothing_swallowed(self) -> Iterator[None]:
        """An error of ours ends the revision, even if the author catches it."""
        try:
            yield
        except BaseException as error:
            self.failure = error
            raise
