"""Handles what the function does on another connection of the engine: watched by a guard of its own, done once.

Nothing of it waits. What it commits is recorded: when the function is called again, it is given that.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from psycopg import errors
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from holdfast.errors.sqlstate import QUERY_CANCELED, sqlstate
from holdfast.execute.guard import Guard
from holdfast.execute.journal import Journal
from holdfast.execute.lock_patience import FIRST_LOCK
from holdfast.execute.result_json import Call, CannotBeRecorded, Result, to_json
from holdfast.execute.session import MigrationSession
from holdfast.execute.verdict import EndedByGuard

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
