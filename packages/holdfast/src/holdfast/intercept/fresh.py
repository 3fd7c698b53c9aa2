"""Applies a revision to a database that nobody uses yet: as it is written, as fast as it goes.

One transaction with its version row, and its entry in the history at the end of it. Only when the author commits
something on the way is the entry written before that, so that a kill leaves a trace.
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
    """The entry of one revision in the history: written at its end, or before the author's first commit."""

    def __init__(self, session: MigrationSession, facts: history.Begun) -> None:
        self.session = session
        self.facts = facts
        self.number: int | None = None  # once it is there

    def begins(self) -> None:
        """Before the author's own commit: what is kept must be in the history."""
        if self.number is None:
            self.number = history.begin(self.session, self.facts)

    def ends(self) -> None:
        """At the end of the function, in the transaction that also writes the version row."""
        if self.number is None:
            history.add_done(self.session, self.facts)
        else:
            history.finish(self.session, self.number)

    def fails(self, error: BaseException) -> None:
        """Record why the revision has ended, and say what is left of it."""
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
    session: MigrationSession, function: Callable[[], None], facts: history.Begun
) -> None:
    """Do what the revision does, all but the version row; the caller commits."""
    entry = FreshEntry(session, facts)
    session.restore_local_settings()
    try:
        with _before_commit(session, entry.begins):
            function()
        entry.ends()
    except BaseException as error:
        entry.fails(error)
        raise


@contextmanager
def _before_commit(session: MigrationSession, note: Callable[[], None]) -> Iterator[None]:
    """Call `note` before each commit of the migration's connection: nothing else of a statement matters here."""

    def commits(connection: Connection) -> None:
        if connection.connection.dbapi_connection is session.dbapi_connection:
            note()

    engine = session.migration.engine
    event.listen(engine, "commit", commits)
    try:
        yield
    finally:
        event.remove(engine, "commit", commits)
