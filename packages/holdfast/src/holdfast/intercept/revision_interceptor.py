"""Receives the statements of a revision's function: each is replayed, dealt with, or left to the driver.

What becomes of a statement is decided in `route`. Here is what else happens on the connection, and the record of
every statement that took effect, so that the function can be called again after a kill.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

from postgast import pg_query_pb2 as pb

from holdfast.errors.migration import RollbackAfterCommit
from holdfast.errors.sqlstate import DEADLOCK_DETECTED, LOCK_NOT_AVAILABLE, sqlstate
from holdfast.errors.statement import UnparsableStatement
from holdfast.execute.executor import NullJournal
from holdfast.execute.lock_patience import LockTimeouts
from holdfast.execute.session import MigrationSession
from holdfast.intercept.deferred_ddl import DeferredDdl, DeferredStatement
from holdfast.intercept.interceptor import InterceptedStatement
from holdfast.intercept.open_transaction import OpenTransaction
from holdfast.intercept.revision_context import InterruptedCall, RevisionContext
from holdfast.intercept.revision_queue import RevisionQueue
from holdfast.intercept.route import StatementRouter
from holdfast.rewrite.statement import Statement, parse
from holdfast.rewrite.statement_kind import StatementKind

WRITES = (StatementKind.WRITE, StatementKind.WRITE_WITH_RESULT)
# What only holds for its session or its transaction is sent again in a replay.
UNRECORDED = (StatementKind.SET, StatementKind.SET_LOCAL, StatementKind.TRANSACTION_CONTROL)


class RevisionInterceptor:
    """Receives the statements of one call of a revision's function."""

    def __init__(
        self,
        context: RevisionContext,
        timeouts: LockTimeouts,
        interrupted: InterruptedCall | None = None,
        *,
        tries: int = 0,
        deferred: tuple[DeferredStatement, ...] = (),
    ) -> None:
        self.work = context
        self.session = context.session
        self.queue = RevisionQueue(context, interrupted)
        self.transaction = OpenTransaction(
            session=context.session,
            timeouts=timeouts,
            lock_timeout_of_rows=context.lock_timeout_of_rows,
            tries=tries,
        )
        deferred_ddl = DeferredDdl(deferred, self.transaction)
        self.ways = StatementRouter(context, self.queue, self.transaction, deferred_ddl)
        self.failure: BaseException | None = None

    # Called by the interceptor of the connection.

    def arrives(self, intercepted: InterceptedStatement) -> bool:
        """Deal with one statement, or let the driver execute it."""
        if self.failure is not None:  # and its author has caught it: not even the driver goes on
            raise self.failure
        if not intercepted.on_migration_connection:
            with self._nothing_swallowed():
                return self._on_second_connection(intercepted)
        with self._nothing_swallowed():
            statements = self._statements_of(intercepted)
        if len(statements) == 1:
            return self._takes(statements[0], intercepted.texts(), intercepted)
        return self._takes_each(statements, intercepted)

    def commits(self) -> None:
        """What was done so far becomes permanent: record that the function cannot be repeated."""
        if self.queue.replay.is_going_on:
            return
        if self.queue or (self.transaction.has_done_something and not self.session.in_autocommit()):
            with self._nothing_swallowed():
                self.ways.flush()
        self.ways.is_divided = False

    def rolls_back(self) -> None:
        """Forget with the author what was done and queued, if nothing of it is committed yet."""
        if self.ways.is_divided:
            self.failure = RollbackAfterCommit(revision=self.work.revision.revision)
            raise self.failure
        self.ways.forget()

    def sets_savepoint(self) -> None:
        """Inside a savepoint the author expects errors in place: nothing may be queued before it."""
        with self._nothing_swallowed():
            self.ways.catch_up()
            if self.queue:
                self.ways.flush()
        self.ways.savepoints += 1

    def ends_savepoint(self, *, rolled_back: bool) -> None:
        """Back outside. What was undone is in no record, so the function could not be replayed."""
        self.ways.savepoints -= 1
        if rolled_back:
            self.queue.replay.unrepeatable = "it has rolled a savepoint back"

    def fails(self, error: BaseException) -> None:
        """A lock that was not free undoes the transaction, whatever the author catches."""
        if sqlstate(error) in (LOCK_NOT_AVAILABLE, DEADLOCK_DETECTED):
            self.failure = error

    def returns(self) -> None:
        """The function has returned: execute what was deferred until then."""
        with self._nothing_swallowed():
            self.ways.deferred_ddl.catch_up(self.session)

    def finish(self) -> None:
        """Commit it and run what is queued. Leaves only the version row to be written."""
        self.queue.replay.require_end()
        if self.queue or self.queue.has_committed:
            self.queue.run(function_ended=True)

    # What happens to one statement.

    def _statements_of(self, intercepted: InterceptedStatement) -> tuple[Statement, ...]:
        if not intercepted.can_be_fetched and getattr(intercepted.cursor, "name", None):
            self.ways.never_split()  # a server-side cursor lives in its transaction
            return ()
        try:
            return parse(intercepted.texts()[0])
        except UnparsableStatement:
            self.ways.catch_up()
            if self.queue:
                self.ways.flush()
            return ()  # PostgreSQL will say what is wrong with it

    def _takes_each(
        self, statements: tuple[Statement, ...], intercepted: InterceptedStatement
    ) -> bool:
        """Several statements in one string: one by one, the last one's result is the string's."""
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
        """Decide, and execute here what is to be executed now, so that its result can be recorded."""
        if statement.kind in UNRECORDED:
            with self._nothing_swallowed():
                return self._deal_with(statement, texts, intercepted)
        text = ";\n".join(texts)
        replay = self.queue.replay
        with self._nothing_swallowed():
            call = replay.given_back(text)
            if call is not None:
                if call.result is not None:
                    intercepted.give(call.result)
                return True
            dealt_with = self._deal_with(statement, texts, intercepted)
            self.ways.refresh(intercepted)
        if dealt_with:
            return True
        if not intercepted.can_be_fetched:
            replay.unrepeatable = "SQLAlchemy reads a cursor itself"
            return False
        commits_itself = self.session.in_autocommit() and statement.kind in WRITES
        if commits_itself and not isinstance(
            statement.node, pb.CallStmt
        ):  # which may commit inside
            with self.session.transactional():
                self._executes_and_records(text, intercepted)
                self.queue.executes((text,))
                self.queue.record_progress()
        else:
            self._executes_and_records(text, intercepted)
        return True

    def _executes_and_records(self, text: str, intercepted: InterceptedStatement) -> None:
        result = intercepted.fetch()
        intercepted.give(result)
        self.queue.replay.add(text, result)

    def _deal_with(
        self, statement: Statement, texts: tuple[str, ...], intercepted: InterceptedStatement
    ) -> bool:
        if statement.kind in (StatementKind.SET, StatementKind.SET_LOCAL):
            self.ways.catch_up()  # not under this setting
            self.queue.settings.note(statement)
            return False
        if statement.kind is StatementKind.TRANSACTION_CONTROL:
            return self._control_transaction(statement)
        return self.ways.deal_with(statement, texts, intercepted)

    def _on_second_connection(self, intercepted: InterceptedStatement) -> bool:
        """Never queued: what is queued runs first, then this at once, online where it can be."""
        if self.queue:
            self.ways.flush()
        if not intercepted.connection.connection.dbapi_connection.autocommit:  # type: ignore[union-attr]  # every driver here has it
            return False
        statements = parse(intercepted.texts()[0])
        if len(statements) != 1 or statements[0].kind is not StatementKind.DDL:
            return False
        with closing(MigrationSession(intercepted.connection)) as session:
            session.epoch, session.version_table = self.session.epoch, self.session.version_table
            executor = replace(
                self.work.executor,
                session=session,
                journal=NullJournal(tried_before=self.work.tried_before),
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

    @contextmanager
    def _nothing_swallowed(self) -> Iterator[None]:
        """An error of ours ends the revision, even if the author catches it."""
        try:
            yield
        except BaseException as error:
            self.failure = error
            raise
