"""Applies a revision to a database that nobody uses yet: as it is written, as fast as it goes.

One transaction with its version row, and its entry in the history together with its COMMIT. Only when the author
commits something on the way is the entry written before that, so that a kill leaves a trace.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, event

from holdfast.errors.standing import rolled_back
from holdfast.execute import history
from holdfast.execute.session import MigrationSession

log = logging.getLogger(__name__)


class FreshEntry:
    """The history entry of one revision: written with the revision's COMMIT, or before the author's first one."""

    def __init__(
        self, session: MigrationSession, facts: history.Begun, *, version_row: str
    ) -> None:
        self.session = session
        self.facts = facts
        self.version_row = version_row  # the statement that writes it; empty where Alembic does
        self.number: int | None = None  # once it is there
        self._is_running = True  # the revision's function
        self._row = ""  # the text that writes it, once the function has ended

    @property
    def writes_version(self) -> bool:
        """Whether it will write the version row, too."""
        return bool(self._row and self.version_row)

    def take(self) -> str:
        """Give the SQL that writes the entry, once; a ROLLBACK discards it."""
        row, self._row = self._row, ""
        return row

    def others_commit(self) -> None:
        """Write the entry before the author or env.py commits: what is kept must be in the history."""
        if self._is_running and self.number is None:
            self.number = history.begin(self.session, self.facts)
        if row := self.take():
            self.session.execute_as_leader(row)

    def ends(self) -> None:
        """Complete the entry when the function ends, in the transaction that also writes the version row."""
        self._is_running = False
        if self.number is None:
            self._row = history.row_when_done(
                self.session, self.facts, version_row=self.version_row
            )
        else:
            history.finish(self.session, self.number)

    def fails(self, error: BaseException) -> None:
        """Record why the revision has ended, and say what is left of it."""
        self._is_running = False
        try:
            self.session.rollback()
            if self.number is None:
                for words in rolled_back(self.facts.revision, self.facts.direction):
                    error.add_note(words)
                self.number = history.begin(self.session, self.facts)
            history.fail(self.session, self.number, error)
            self.session.commit()
        except Exception:  # the error on its way is the one to see, not this one
            log.warning("the failure could not be recorded in holdfast.history", exc_info=True)


def apply_to_fresh(
    session: MigrationSession,
    function: Callable[[], None],
    facts: history.Begun,
    *,
    version_row: str = "",
) -> None:
    """Run the revision's function and record it in the history; the caller commits.

    `version_row` is the statement that writes the version row; without it the caller does.
    """
    session.row_at_commit = entry = FreshEntry(session, facts, version_row=version_row)
    session.restore_local_settings()
    try:
        function()
        entry.ends()
    except BaseException as error:
        entry.fails(error)
        raise


def writes_version(session: MigrationSession) -> bool:
    """Whether the row that waits for COMMIT has the version row with it."""
    entry = session.row_at_commit
    return isinstance(entry, FreshEntry) and entry.writes_version


@contextmanager
def seeing_others_commit(session: MigrationSession) -> Iterator[None]:
    """Notice each COMMIT and ROLLBACK on the migration's connection that is not ours, for all revisions of a run.

    Nothing else of a statement matters on a database that nobody uses.
    """

    def commits(connection: Connection) -> None:
        entry = session.row_at_commit
        is_ours = connection.connection.dbapi_connection is session.dbapi_connection
        if is_ours and isinstance(entry, FreshEntry):
            entry.others_commit()

    def rolls_back(connection: Connection) -> None:
        entry = session.row_at_commit
        if connection.connection.dbapi_connection is session.dbapi_connection and entry is not None:
            entry.take()

    listeners = (("commit", commits), ("rollback", rolls_back))
    engine = session.migration.engine
    for kind, listener in listeners:
        event.listen(engine, kind, listener)
    try:
        yield
    finally:
        for kind, listener in listeners:
            event.remove(engine, kind, listener)
