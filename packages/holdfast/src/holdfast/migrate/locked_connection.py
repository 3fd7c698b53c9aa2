"""Runs work on a project's database as its only migrator, on the connection that env.py makes.

For the verbs that change what is recorded without running a revision: `baseline`, `abandon`.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from holdfast.execute.journal import Journal
from holdfast.execute.lease import leadership_of
from holdfast.execute.progress import Report
from holdfast.execute.session import MigrationSession
from holdfast.execute.watcher import naming_blockers
from holdfast.migrate import refusals
from holdfast.migrate.databases import ConfiguredDatabase, passes_of
from holdfast.migrate.history_files import open_history
from holdfast.migrate.run_options import console_of
from holdfast.migrate.timed_out import naming_timeouts
from holdfast.migrate.version_table import identify

Result = TypeVar("Result")
STANDING = (
    "What was committed before stays and is recorded; what was not is rolled back by the server."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedConnection:
    """The connection and session that work has while it holds the migration lock."""

    script: ScriptDirectory
    database: ConfiguredDatabase
    context: MigrationContext
    session: MigrationSession


def on_locked_connection(
    config: Config, work: Callable[[LockedConnection], Result], *, report: Report
) -> Result:
    """Call `work` under the migration lock for each call of run_migrations in env.py, and commit what it did.

    Gives what the first call gave.
    """
    return on_every_locked_pass(config, work, report=report)[0]


def on_every_locked_pass(
    config: Config, work: Callable[[LockedConnection], Result], *, report: Report
) -> tuple[Result, ...]:
    """Call `work` as `on_locked_connection` does; give the result of each call."""
    script = open_history(config)
    results: list[Result] = []
    passes = passes_of(config)
    migration: list[Connection] = []

    def call(_: tuple[str, ...], context: MigrationContext) -> tuple[()]:
        database = passes.next(context)
        if database is None:
            return ()
        assert context.connection is not None  # noqa: S101  # only None in offline mode
        migration.append(context.connection)
        with closing(MigrationSession(context.connection)) as session:
            session.keep_local_settings()
            if refusal := refusals.refusal_of_pooler(session):
                raise refusal
            session.commit()
            with closing(leadership_of(session)) as leadership:
                session.console = console_of(config, report=report)
                leadership.acquire(report=report)
                leadership.take_over(session, report=report)
                identify(session, context)
                revisions = {revision.revision for revision in script.walk_revisions()}
                Journal(session).claim_first_layout(revisions)
                session.commit()
                results.append(
                    work(
                        LockedConnection(
                            script=script, database=database, context=context, session=session
                        )
                    )
                )
                session.commit()
        return ()

    with (
        EnvironmentContext(config, script, fn=call, dont_mutate=True),
        naming_blockers() as statements,
        naming_timeouts(migration, statements, standing=STANDING),
    ):
        script.run_env()
    return tuple(results)
