"""Applies a revision to a database that nobody uses yet: as it is written, as fast as it goes.

One transaction with its version row, and its entry in the history at the end of it. Only when the author commits
something on the way is the entry written before that, so that a kill leaves a trace.
"""

import logging
from collections.abc import Callable

from alembic.ddl.impl import DefaultImpl

from holdfast.errors.standing import rolled_back
from holdfast.execute import history
from holdfast.execute.session import MigrationSession
from holdfast.intercept.interceptor import InterceptedStatement, intercepting
from holdfast.intercept.route import RevisionState, Sighting, StatementPlace, Then, route
from holdfast.rewrite.statement import StatementKind

ANY = Sighting(kind=StatementKind.DDL)

log = logging.getLogger(__name__)


class FreshInterceptor:
    """Leaves every statement to the driver, and sees the author commit."""

    def __init__(self, session: MigrationSession, facts: history.Begun) -> None:
        self.session = session
        self.facts = facts
        self.entry: int | None = None

    def arrives(self, intercepted: InterceptedStatement) -> bool:
        """Do as the route says, which looks at no statement here."""
        log.debug("statement: %s", intercepted.sql)
        way = route(RevisionState(), ANY, place=StatementPlace.FRESH)
        return way.then is not Then.DRIVER

    def commits(self) -> None:
        """Before the author's own commit: what is kept must be in the history."""
        if self.entry is None:
            self.entry = history.begin(self.session, self.facts)

    def rolls_back(self) -> None:
        """Do nothing: nobody uses the database, so nothing of it is queued."""

    def sets_savepoint(self) -> None:
        """Do nothing: no statement waits that a savepoint would have to know of."""

    def ends_savepoint(self, *, rolled_back: bool) -> None:
        """Do nothing: no statement waits that a savepoint could take back."""

    def asks_for_driver(self) -> None:
        """Do nothing: everything that was sent is executed already."""

    def fails(self, error: BaseException) -> None:
        """Do nothing: the error is for the revision and its author alone."""


def apply_to_fresh(
    session: MigrationSession,
    impl: DefaultImpl,
    function: Callable[[], None],
    facts: history.Begun,
) -> None:
    """Do what the revision does, all but the version row; the caller commits."""
    interceptor = FreshInterceptor(session, facts)
    session.restore_local_settings()
    try:
        with intercepting(session, interceptor, impl):
            function()
        if interceptor.entry is None:
            history.add_done(session, facts)
        else:
            history.finish(session, interceptor.entry)
    except BaseException as error:
        _record_failure(interceptor, error)
        raise


def _record_failure(interceptor: FreshInterceptor, error: BaseException) -> None:
    try:
        interceptor.session.rollback()
        if interceptor.entry is None:
            facts = interceptor.facts
            for words in rolled_back(facts.revision, facts.direction):
                error.add_note(words)
            interceptor.entry = history.begin(interceptor.session, interceptor.facts)
        history.fail(interceptor.session, interceptor.entry, error)
        interceptor.session.commit()
    except Exception:  # the error on its way is the one to see, not this one
        log.warning("the failure could not be recorded in holdfast.history", exc_info=True)
