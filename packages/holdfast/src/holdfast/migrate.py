"""Upgrades and downgrades an Alembic project: `upgrade` and `downgrade` take what alembic.command takes.

The project's env.py runs unchanged. Whatever transaction it opens, every revision commits separately; one process
migrates at a time; "nothing pending" is found before any lock is taken.
"""

import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.script import ScriptDirectory

from holdfast.errors.migration import BehindPooler, DatabaseAhead
from holdfast.observe.pooler import is_behind_pooler
from holdfast.progress import Report, silent
from holdfast.revision import RevisionRun
from holdfast.run import history, leader, tables
from holdfast.run.session import MigrationSession

log = logging.getLogger(__name__)

Heads = tuple[str, ...]
FindSteps = Callable[[Heads], list[RevisionStep]]


def upgrade(
    config: Config,
    revision: str,
    sql: bool = False,
    tag: str | None = None,
    *,
    report: Report = silent,
    patience: timedelta = leader.PATIENCE,
) -> None:
    """Upgrade to `revision` ("head", "heads", an id, "+2"): alembic.command.upgrade, run safely.

    With `sql`, Alembic's own offline mode writes the plain statements and nothing is executed. `patience` bounds
    the wait for another migrator. Raises HoldfastError, alembic.util.CommandError, or what the revision raises.
    """
    if sql:
        command.upgrade(config, revision, sql=True, tag=tag)
        return
    script = ScriptDirectory.from_config(config)

    def find(heads: Heads) -> list[RevisionStep]:
        return script._upgrade_revs(revision, heads)  # type: ignore[arg-type]  # noqa: SLF001  # as alembic.command does

    _migrate(config, script, revision, tag, find, report=report, patience=patience)


def downgrade(
    config: Config,
    revision: str,
    sql: bool = False,
    tag: str | None = None,
    *,
    report: Report = silent,
    patience: timedelta = leader.PATIENCE,
) -> None:
    """Revert down to `revision` ("base", an id, "-1"): alembic.command.downgrade, run safely.

    Parameters and errors as for `upgrade`.
    """
    if sql:
        command.downgrade(config, revision, sql=True, tag=tag)
        return
    script = ScriptDirectory.from_config(config)

    def find(heads: Heads) -> list[RevisionStep]:
        return script._downgrade_revs(revision, heads)  # type: ignore[arg-type]  # noqa: SLF001  # as alembic.command does

    _migrate(config, script, revision, tag, find, report=report, patience=patience)


class _HeadsMoved(Exception):
    """Another process has migrated while we waited; what is pending must be found anew."""


def _migrate(
    config: Config,
    script: ScriptDirectory,
    revision: str,
    tag: str | None,
    find: FindSteps,
    *,
    report: Report,
    patience: timedelta,
) -> None:
    while True:
        run = _Run(script, find, report=report, patience=patience)
        environment = EnvironmentContext(
            config,
            script,
            fn=run.steps,
            destination_rev=revision,
            tag=tag,
            # The version table is created by us, under the lock: Alembic would create it before `steps`
            # is called, and of two processes one would die of it.
            dont_mutate=True,
        )
        try:
            with environment:
                script.run_env()
        except _HeadsMoved:
            continue
        finally:
            run.release()
        return


class _Run:
    """One pass through env.py."""

    def __init__(
        self, script: ScriptDirectory, find: FindSteps, *, report: Report, patience: timedelta
    ) -> None:
        self.script = script
        self.find = find
        self.report = report
        self.patience = patience
        self.leadership: leader.Leadership | None = None

    def steps(self, heads: Heads, context: MigrationContext) -> Iterator[RevisionStep]:
        """What Alembic's run_migrations executes, one by one, committed one by one."""
        self._refuse_unknown(heads)
        pending = self.find(heads)
        if not pending:
            return
        assert context.connection is not None  # noqa: S101  # only None in offline mode
        session = MigrationSession(context.connection)
        session.keep_local_settings()
        self._lead(heads, context, session)
        session.restore_local_settings()
        context._ensure_version_table()  # noqa: SLF001  # what run_migrations would have called
        session.commit()
        for step in pending:
            self._check_leadership()
            run = RevisionRun(step=step, session=session, report=self.report)
            step.migration_fn = self._wrap(run, step.migration_fn)
            yield step
            run.commit()
        self.release()

    def release(self) -> None:
        """End the leadership, if there is one. An async connection may already be gone with its loop."""
        if self.leadership is not None:
            try:
                self.leadership.release()
            except Exception:  # the server ends the lock with the connection
                log.debug("the leader's connection was already closed", exc_info=True)

    def _lead(self, heads: Heads, context: MigrationContext, session: MigrationSession) -> None:
        if is_behind_pooler(session.connection):
            raise BehindPooler
        session.commit()
        assert context.connection is not None  # noqa: S101  # see steps
        self.leadership = leader.Leadership(context.connection)
        self.leadership.acquire(report=self.report, patience=self.patience)
        if set(context.get_current_heads()) != set(heads):
            self.release()
            raise _HeadsMoved
        tables.ensure(session)
        history.mark_interrupted(session)
        session.commit()

    def _refuse_unknown(self, heads: Heads) -> None:
        known = {revision.revision for revision in self.script.walk_revisions()}
        unknown = tuple(head for head in heads if head not in known)
        if unknown:
            raise DatabaseAhead(revisions=unknown)

    def _check_leadership(self) -> None:
        if self.leadership is not None:
            self.leadership.verify()

    def _wrap(self, run: RevisionRun, function: Callable[..., None]) -> Callable[..., None]:
        def upgrade_or_downgrade(**arguments: Any) -> None:
            try:
                run(function, **arguments)
            except BaseException:
                self.release()  # here, inside the event loop of an async env.py
                raise

        return upgrade_or_downgrade
