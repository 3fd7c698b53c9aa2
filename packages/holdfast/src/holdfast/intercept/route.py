"""What happens to one statement of a revision: now, later, or not like this.

Three ways, decided by the statements themselves. Nothing long, nothing held while rows are written: one transaction, as
Alembic would (way 1). The first long statement opens a queue, and what follows is queued behind it until
the function has returned (way 2). A read, or a write whose result Python sees, behind something queued: the queue
runs first, then the function goes on (way 3).
"""

from postgast import pg_query_pb2 as pb

from holdfast.execute.progress import RowsRead, StatementPlanned
from holdfast.intercept.deferred_ddl import DeferredDdl
from holdfast.intercept.interceptor import InterceptedStatement
from holdfast.intercept.open_transaction import OpenTransaction
from holdfast.intercept.revision_context import RevisionContext
from holdfast.intercept.revision_queue import RevisionQueue
from holdfast.rewrite.facts import Facts
from holdfast.rewrite.locks import Lock
from holdfast.rewrite.online import Duration, duration, rewrite
from holdfast.rewrite.queue_rules.backfill_first import ends_in_builds
from holdfast.rewrite.referenced_objects import relations_in
from holdfast.rewrite.rewriting import as_written
from holdfast.rewrite.single_transaction import refuse_undivided
from holdfast.rewrite.statement import Statement, shortened
from holdfast.rewrite.statement_kind import StatementKind
from holdfast.rewrite.statement_locks import locks_of


class StatementRouter:
    """Deals with a statement (True), or leaves it to the driver; opens the queue and runs it."""

    def __init__(
        self,
        context: RevisionContext,
        queue: RevisionQueue,
        transaction: OpenTransaction,
        deferred_ddl: DeferredDdl,
    ) -> None:
        self.work = context
        self.session = context.session
        self.queue = queue
        self.transaction = transaction
        self.deferred_ddl = deferred_ddl
        self.queue_is_open = queue.has_committed
        self.is_plain = False  # to the end of the function, in the author's own transaction
        self.savepoints = 0
        # Perhaps committed by us, where its author has not: a rollback would not undo all of it.
        self.is_divided = queue.has_committed

    def deal_with(
        self, statement: Statement, texts: tuple[str, ...], intercepted: InterceptedStatement
    ) -> bool:
        """Neither SET nor the control of transactions: those are the interceptor's."""
        kind = statement.kind
        if kind is StatementKind.HARMLESS:
            return False
        if kind is StatementKind.DDL and self.deferred_ddl.defers(texts):
            self._is_put_off(statement, texts)
            return True
        if kind not in (StatementKind.DDL, StatementKind.TEMP):
            self.catch_up()
        if self.session.in_autocommit():
            return self._at_once(statement, texts)
        if kind is StatementKind.NEVER_SPLIT:
            self.never_split()
        if self.is_plain or self.savepoints:
            return self._plainly(statement)
        if kind in (StatementKind.DDL, StatementKind.TEMP):
            return self._ddl(statement, texts)
        return self._data(statement, texts, intercepted)

    def flush(self) -> None:
        """Commit what was done, run what is queued, then let the function go on."""
        self.deferred_ddl.catch_up(self.session)
        self.deferred_ddl.cannot_be_deferred()
        self.is_divided = self.is_divided or not self.session.in_autocommit()
        self.queue.run(function_ended=False)
        self.transaction.forget()
        self.session.restore_local_settings()

    def catch_up(self) -> None:
        """Execute what is deferred before a statement that depends on it, unless the queue is open."""
        if not self.queue_is_open:
            self.deferred_ddl.catch_up(self.session)
            self.deferred_ddl.cannot_be_deferred()

    def never_split(self) -> None:
        """From here on it is one transaction: what it takes lives as long as that."""
        self.catch_up()
        if self.queue:
            self.flush()
        self.is_plain = True

    def forget(self) -> None:
        """The author rolls back a transaction that is not divided."""
        self.queue.forget()
        self.deferred_ddl.forget()
        self.queue_is_open = False
        self.transaction.forget()

    def refresh(self, intercepted: InterceptedStatement) -> None:
        """asyncpg: SQLAlchemy has stamped the caller's cursor before our own DDL made caches stale."""
        stamp = getattr(self.session.dialect, "_invalidate_schema_cache_asof", None)
        if stamp is not None and intercepted.on_migration_connection:
            intercepted.cursor._invalidate_schema_cache_asof = stamp  # type: ignore[attr-defined]  # noqa: SLF001  # see above

    def _ddl(self, statement: Statement, texts: tuple[str, ...]) -> bool:
        statement = self.queue.exempted(statement)
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
            self.deferred_ddl.catch_up(self.session)
            self._leave_to_driver(statement, facts, locks)
            self.deferred_ddl.executed(texts, locks)
            self._executes(texts)
            dealt_with = False
        self.queue.note(statement, facts)
        return dealt_with

    def _leave_to_driver(self, statement: Statement, facts: Facts, locks: tuple[Lock, ...]) -> None:
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

    def _data(
        self, statement: Statement, texts: tuple[str, ...], intercepted: InterceptedStatement
    ) -> bool:
        may_wait = statement.kind is StatementKind.WRITE and not intercepted.is_result_seen
        waits = may_wait and (self.queue_is_open or self.transaction.holds)
        # Asked only where the answer matters: some revisions write row by row.
        asks = may_wait and (not waits or ends_in_builds(self.queue.ahead))
        facts = self.queue.facts(statement) if asks and statement.whole_table_write else None
        if waits or (facts is not None and duration(statement, facts=facts) is Duration.LONG):
            self._enqueue(texts, statement, facts)
            return True
        holds = self.transaction.holds and statement.kind is not StatementKind.CATALOG_READ
        if self.queue or holds:
            self.flush()
            self.refresh(intercepted)
        if statement.kind in (StatementKind.READ, StatementKind.WRITE_WITH_RESULT):
            name, sql = self.work.revision.revision, shortened(statement.sql)
            self.work.executor.report(RowsRead(revision=name, sql=sql))
        if isinstance(statement.node, pb.DoStmt | pb.CallStmt):
            self.transaction.wait_for_anything()
        else:
            self.transaction.wait_for_rows()
        if statement.kind in (StatementKind.WRITE, StatementKind.WRITE_WITH_RESULT):
            self.transaction.wrote = self.transaction.wrote or bool(relations_in(statement))
            self._executes(texts)
        return False

    def _at_once(self, statement: Statement, texts: tuple[str, ...]) -> bool:
        """In AUTOCOMMIT: its online form, now; recorded, so that after a kill it is gone on with."""
        if statement.kind is not StatementKind.DDL:
            return False
        statement = self.queue.exempted(statement)
        facts = self.queue.facts(statement)
        rewrite(statement, facts=facts, today=self.work.today)
        self.queue.add(texts, statement, facts)
        self.queue.note(statement, facts)
        self.flush()
        return True

    def _plainly(self, statement: Statement) -> bool:
        """As written, in the author's transaction or savepoint, where that is over soon."""
        if statement.kind is StatementKind.DDL:
            statement = self.queue.exempted(statement)
            facts = self.queue.facts(statement)
            refuse_undivided(statement, facts=facts, today=self.work.today)
            self._leave_to_driver(statement, facts, locks_of(statement, facts=facts))
            self.queue.note(statement, facts)
        else:
            self.transaction.wait_for_rows()
        self._executes((statement.sql,))
        return False

    def _is_put_off(self, statement: Statement, texts: tuple[str, ...]) -> None:
        self.queue.note(statement, self.queue.facts(statement))
        self._executes(texts)
        self.queue.replay.add(";\n".join(texts), None)

    def _enqueue(self, texts: tuple[str, ...], statement: Statement, facts: Facts | None) -> None:
        if not self.queue_is_open and not self.queue.has_committed:
            self.deferred_ddl.start_deferring()
        self.queue_is_open = True
        self.queue.add(texts, statement, facts)

    def _executes(self, texts: tuple[str, ...]) -> None:
        self.transaction.has_done_something = True
        self.queue.executes(texts)
