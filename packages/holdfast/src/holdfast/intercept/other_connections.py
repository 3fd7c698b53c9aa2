"""Handles what the function does on other connections of the engine: watched by a guard each, done once.

Nothing of it waits. What it commits is recorded: when the function is called again, it is given that.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from psycopg import errors
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from holdfast.errors.sqlstate import QUERY_CANCELED, sqlstate
from holdfast.execute.executor import NullJournal
from holdfast.execute.guard import Guard
from holdfast.execute.journal import Journal
from holdfast.execute.lock_patience import FIRST_LOCK
from holdfast.execute.result_json import Call, CannotBeRecorded, Result, to_json
from holdfast.execute.session import MigrationSession
from holdfast.execute.verdict import EndedByGuard
from holdfast.intercept.interceptor import InterceptedStatement
from holdfast.intercept.revision_context import RevisionContext
from holdfast.intercept.revision_queue import RevisionQueue
from holdfast.intercept.route import (
    Before,
    RevisionState,
    Route,
    Sighting,
    StatementPlace,
    Then,
    route,
)
from holdfast.observe.catalog import facts_for
from holdfast.rewrite.commits_inside import may_commit_inside
from holdfast.rewrite.queue.units import QueueEntry
from holdfast.rewrite.statement import (
    DDL,
    UNRECORDED,
    WRITES,
    Statement,
    StatementKind,
    is_opaque_call,
    parse,
)

MAY_RECORD = text(
    """
    SELECT CASE WHEN has_schema_privilege('holdfast', 'USAGE')
                THEN has_table_privilege('holdfast.calls', 'INSERT')
                 AND has_table_privilege('holdfast.leader', 'UPDATE')
                ELSE false END
    """
)
# In front of what it has sent, in the record: the same text on the migration's connection is another call.
MARK = "/* on another connection */ "
# Why a function cannot be called again.
READS_CURSOR = "SQLAlchemy reads a cursor itself"
STARTED_BESIDE = "it was about to commit on another connection, and it is not known whether it has"
LOST = ("08", "57P")  # SQLSTATEs of a connection
ENDED = (QUERY_CANCELED, errors.AdminShutdown.sqlstate, None)  # None: the connection was gone


@dataclass(kw_only=True)
class OtherConnection:
    """A transaction on another connection, from its first statement to its end, or one statement in AUTOCOMMIT."""

    session: MigrationSession
    calls: list[Call] = field(default_factory=list)

    @classmethod
    def of(cls, connection: Connection, *, beside: MigrationSession) -> "OtherConnection":
        """Make one, with a guard if the migration's own session has one."""
        session = MigrationSession(connection)
        session.version_table = beside.version_table
        if isinstance(beside.guard, Guard):
            session.guard = Guard(session, has_users=beside.guard.has_users)
        return cls(session=session)

    def watch(self, *, users_may_wait: bool) -> None:
        """Watch the transaction from here to its end, so that no user waits for it."""
        self.session.watch(own_wait=FIRST_LOCK, users_may_wait=users_may_wait, ends_when_idle=False)

    def records(self, *, epoch: int | None) -> bool:
        """Record what it has sent in its own transaction, as the leader; False if its role may not write there.

        False, too, if a result cannot be recorded.
        """
        if not self.session.execute(MAY_RECORD).scalar_one():
            return False
        try:
            for call in self.calls:
                to_json(call.result or Result(columns=None))
        except CannotBeRecorded:
            return False
        self.session.epoch = epoch
        Journal(self.session).add_calls(self.calls)
        return True

    def commit(self) -> None:
        """Commit what it has done. Raises EndedByGuard, after a rollback, if users have waited for it."""
        guard = self.session.guard
        if guard is None or not guard.is_armed:
            self.session.dbapi_connection.commit()
        elif self.session.in_autocommit():
            guard.disarm()
        else:
            guard.before_commit()
            self.session.dbapi_connection.commit()
            with suppress(EndedByGuard):  # what it has ended too late is committed
                guard.committed()

    @contextmanager
    def in_a_transaction(self) -> Iterator[None]:
        """Put what would commit itself into a transaction, together with its record."""
        with self.session.transactional():
            try:
                yield
            except BaseException:
                self.roll_back()  # under the guard, COMMIT would be an error of its own
                raise

    @contextmanager
    def telling_its_end(self) -> Iterator[None]:
        """Raise EndedByGuard for an error in the block that the guard has caused."""
        try:
            yield
        except Exception as error:
            if isinstance(error, EndedByGuard) or sqlstate(error) not in ENDED:
                raise
            self.roll_back()
            verdict = None if self.session.guard is None else self.session.guard.take_verdict()
            if verdict is None:
                raise
            raise EndedByGuard(replace(verdict, is_terminated=False)) from error

    def roll_back(self) -> None:
        """Undo what is not committed, even if the connection is gone."""
        driver: Any = self.session.dialect.loaded_dbapi
        with suppress(DBAPIError, driver.Error):
            self.session.rollback()

    def close(self) -> None:
        """Undo what is not committed, and close the guard's connection. The author's own stays."""
        if self.session.guard is not None:
            if self.session.guard.is_armed:
                self.roll_back()
            self.session.guard.close()
        self.session.close()


def is_known_to_be_undone(error: Exception) -> bool:
    """Whether an error shows that nothing of its transaction, or statement, can have been committed."""
    state = sqlstate(error)
    return isinstance(error, EndedByGuard) or (state is not None and not state.startswith(LOST))


class MigrationSide(Protocol):
    """What has to be known and done on the migration's own connection for a statement on another one."""

    work: RevisionContext
    session: MigrationSession
    queue: RevisionQueue
    state: RevisionState

    def do_before(self, before: Before) -> None:
        """Execute or run what waits, as the route says."""

    def run(self) -> None:
        """Commit what was done, with its record, and run what waits."""

    def users_may_wait(self, statement: Statement) -> bool:
        """Whether the author allows users to wait for the statement."""
        ...

    def count_body(self, statement: Statement) -> None:
        """Report a statement whose body may do anything."""

    def refuse_what_does_not_fit(self, entries: Sequence[QueueEntry]) -> None:
        """Refuse what the free disk is too small for."""


@dataclass
class OtherConnections:
    """Receives the statements of one call of a revision's function that it sends on other connections."""

    migration: MigrationSide
    open: dict[object, OtherConnection] = field(default_factory=dict)  # by the driver's connection

    def arrives(self, intercepted: InterceptedStatement) -> bool:
        """Run the queue if needed, then execute this at once, online if possible; False leaves it to the driver."""
        statements = parse(intercepted.texts()[0])
        kind = statements[0].kind if len(statements) == 1 else StatementKind.WRITE
        if kind in UNRECORDED or kind is StatementKind.HARMLESS:
            return False
        text = MARK + ";\n".join(intercepted.texts())
        replay = self.migration.queue.replay
        call = replay.given_back(text, is_beside=True)
        if call is not None:
            if call.result is not None:
                intercepted.give(call.result)
            return True
        driver: Any = intercepted.connection.connection.dbapi_connection
        sighting = Sighting(kind=kind, commits_itself=driver.autocommit)
        way = route(self.migration.state, sighting, place=StatementPlace.SECOND_CONNECTION)
        self.migration.do_before(way.before)
        self.migration.queue.catalog.forget()
        other = self.open.get(driver)
        with nullcontext() if other is None else other.telling_its_end():
            if kind is StatementKind.DDL and self._runs_online(way, statements[0], intercepted):
                self._record([replay.call(text, None)])
                return True
            return self._executes(statements, text, intercepted, is_change=kind in (*WRITES, *DDL))

    def commits(self, connection: Connection) -> None:
        """Commit what was done on another connection, and record it: it is never done again."""
        other = self.open.pop(connection.connection.dbapi_connection, None)
        if other is None:
            return
        with closing(other), other.telling_its_end():
            if other.session.has_written():
                self._commit_recorded(other)
            else:
                other.commit()

    def rolls_back(self, connection: Connection) -> None:
        """Forget what was done on another connection since its last commit."""
        other = self.open.pop(connection.connection.dbapi_connection, None)
        if other is not None:
            with closing(other):
                other.roll_back()

    def close(self) -> None:
        """Undo what the author has left open."""
        while self.open:
            self.open.popitem()[1].close()

    def _runs_online(
        self, way: Route, statement: Statement, intercepted: InterceptedStatement
    ) -> bool:
        """Execute DDL in its online form if the route says so. Raises what does not fit on the disk."""
        with closing(MigrationSession(intercepted.connection)) as session:
            self._refuse_what_does_not_fit(statement, session)
            if way.then is not Then.BESIDE:
                return False
            self._record([])  # what was done so far: its locks may not be free
            self._run_online(statement, session)
            return True

    def _refuse_what_does_not_fit(self, statement: Statement, session: MigrationSession) -> None:
        queue = self.migration.queue
        statement = queue.exempted(statement)
        facts = facts_for(session.connection, statement, new=queue.new)
        self.migration.refuse_what_does_not_fit([QueueEntry(statement=statement, facts=facts)])

    def _run_online(self, statement: Statement, session: MigrationSession) -> None:
        own, work = self.migration.session, self.migration.work
        session.epoch, session.version_table = own.epoch, own.version_table
        executor = replace(
            work.executor,
            session=session,
            wait_while_paused=None,  # the author's own transaction is open
            journal=NullJournal(tried_before=work.tried_before),
            patience=replace(work.executor.patience, session=session),
        )
        executor.run(self.migration.queue.queued(statement.sql, statement))

    def _executes(
        self,
        statements: Sequence[Statement],
        text: str,
        intercepted: InterceptedStatement,
        *,
        is_change: bool,
    ) -> bool:
        """Execute it under a guard of its own; record it at once in AUTOCOMMIT, otherwise when it is committed."""
        other = self._opened(intercepted.connection)
        in_autocommit = other.session.in_autocommit()
        if in_autocommit:
            del self.open[other.session.dbapi_connection]
        with closing(other) if in_autocommit else nullcontext(), other.telling_its_end():
            other.watch(users_may_wait=any(map(self.migration.users_may_wait, statements)))
            for statement in filter(is_opaque_call, statements):
                self.migration.count_body(statement)
            if not intercepted.can_be_fetched:
                self.migration.queue.replay.unrepeatable = READS_CURSOR
                return False
            if not in_autocommit:
                self._fetch(text, intercepted, other)
            elif not is_change:
                self._fetch(text, intercepted, other)
                other.commit()
            elif any(map(may_commit_inside, statements)):
                with self._done_once(other, in_parts=True):
                    self._fetch(text, intercepted, other)
                    other.commit()
            else:
                with other.in_a_transaction():
                    self._fetch(text, intercepted, other)
                    self._commit_recorded(other)
        return True

    def _opened(self, connection: Connection) -> OtherConnection:
        key = connection.connection.dbapi_connection
        if key not in self.open:
            self.open[key] = OtherConnection.of(connection, beside=self.migration.session)
        return self.open[key]

    def _fetch(self, text: str, intercepted: InterceptedStatement, other: OtherConnection) -> None:
        result = intercepted.fetch()
        intercepted.give(result)
        other.calls.append(self.migration.queue.replay.call(text, result))

    def _commit_recorded(self, other: OtherConnection) -> None:
        """Commit what was done on another connection, with its record if that can be in the same transaction."""
        if not self._must_stay_open:
            self._record([])
            if other.records(epoch=self.migration.session.epoch):
                other.commit()
                self.migration.queue.replay.count += len(other.calls)
                return
        with self._done_once(other):
            other.commit()

    @contextmanager
    def _done_once(self, other: OtherConnection, *, in_parts: bool = False) -> Iterator[None]:
        """Record that a commit on another connection starts, and, if it ends well, that it is done."""
        replay = self.migration.queue.replay
        self._record([])  # what was done so far: its locks may not be free
        before, replay.unrepeatable = replay.unrepeatable, STARTED_BESIDE
        self._record([])
        try:
            yield
        except Exception as error:
            if not in_parts and is_known_to_be_undone(error):
                replay.unrepeatable = before
                self._record([])
            raise
        replay.unrepeatable = before
        self._record(other.calls)

    @property
    def _must_stay_open(self) -> bool:
        """Whether the author's open transaction on the migration's connection must not be committed."""
        state = self.migration.state
        return bool(state.savepoints) or state.is_single or state.has_driver

    def _record(self, calls: Sequence[Call]) -> None:
        """Commit the record of these calls, together with what was done so far on the migration's connection."""
        queue = self.migration.queue
        for call in calls:
            queue.replay.add_call(call)
        if self._must_stay_open:
            queue.has_committed = True
            queue.replay.unrepeatable = queue.replay.unrepeatable or STARTED_BESIDE
            return
        self.migration.run()
