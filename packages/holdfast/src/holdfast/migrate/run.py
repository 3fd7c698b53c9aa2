"""Upgrades and downgrades an Alembic project online; `upgrade` and `downgrade` take what alembic.command takes.

The project's env.py runs unchanged. Whatever transaction it opens, every revision commits separately; one process
migrates at a time; "nothing pending" is found before any lock is taken.
"""

import functools
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alembic import command
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, RevisionStep
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, event
from sqlalchemy.engine import ExceptionContext

from holdfast.errors import HoldfastError
from holdfast.errors.light_dataclass import changed
from holdfast.errors.migration import DatabaseAhead, EditedRevision
from holdfast.errors.sqlstate import QUERY_CANCELED, sqlstate
from holdfast.errors.standing import COMMAND
from holdfast.errors.unfinished import StoppedInStep, UnfinishedRevision
from holdfast.execute import history, leader
from holdfast.execute.lease import Lease, leadership_of
from holdfast.execute.lock_budget import LOCK_BUDGET
from holdfast.execute.progress import Report, StepWatched, silent
from holdfast.execute.session import MigrationSession
from holdfast.execute.verdict import EndedByGuard, GuardVerdict
from holdfast.execute.watcher import naming_blockers
from holdfast.intercept.fresh import seeing_others_commit, writes_version
from holdfast.migrate import refusals
from holdfast.migrate.databases import Passes, passes_of
from holdfast.migrate.history_files import edited_by_record, open_history
from holdfast.migrate.one_revision import FreshRevision, OneRevision, RunContext
from holdfast.migrate.run_options import IN_USE, RunOptions, settings_beside_users
from holdfast.migrate.run_so_far import RunSoFar
from holdfast.migrate.settings_of_env import noting_settings
from holdfast.migrate.stopping import Canceller, never, stopping_while_waiting
from holdfast.migrate.up_to_date.alembic_project import is_by_settings, project_of, record_rest
from holdfast.migrate.version_rows import left_to_us, version_rows
from holdfast.migrate.version_table import identify, version_table_of
from holdfast.observe.database import is_unused
from holdfast.observe.half_way import left_half_way
from holdfast.observe.watched_step import Watched

if TYPE_CHECKING:
    from holdfast.execute.lock_patience import NewConnections

log = logging.getLogger(__name__)

HEADS = ("head", "heads")
A_READ = "a statement of the revision or of Alembic"
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
    lock_budget: timedelta = LOCK_BUDGET,
    should_stop: Callable[[], bool] = never,
    should_pause: Callable[[], bool] = never,
    must_stop: Callable[[], bool] = never,
    accept_edited: bool = False,
    expand: bool | None = None,
    free_disk: int | None = None,
) -> None:
    """Upgrade to `revision` ("head", "heads", an id, "+2"): alembic.command.upgrade, run safely.

    With `sql`, Alembic's own offline mode writes the plain statements and nothing is executed. `patience` bounds
    the wait for another migrator, `lock_budget` the tries for a lock; `should_stop` and `should_pause` are asked
    between steps and batches, and `must_stop` inside one: its statement is cancelled then.
    An applied revision whose file was edited since is an error, unless `accept_edited`. With `expand`, what a
    release that is still running uses waits for `holdfast finish`; None: as the project says. `free_disk`: bytes, in
    the place of HOLDFAST_FREE_DISK.
    Raises HoldfastError, alembic.util.CommandError, or what the revision raises.
    """
    if sql:
        command.upgrade(config, revision, sql=True, tag=tag)
        return
    project = project_of(config) if revision in HEADS and tag is None else None
    has_looked = "connection" in config.attributes or getattr(config.cmd_opts, "looked", False)
    may_look = not has_looked and not accept_edited
    if project is not None and may_look and project.head_if_up_to_date() is not None:
        return
    script = open_history(config)
    if revision == "head":
        if refusal := refusals.refusal_of_history(script, config):
            raise refusal
        revision = "heads"  # one, or those of the branches that the project wants

    def find(heads: Heads) -> list[RevisionStep]:
        return script._upgrade_revs(revision, heads)  # type: ignore[arg-type]  # noqa: SLF001  # as alembic.command does

    options = RunOptions(
        report=stopping_while_waiting(report, should_stop),
        patience=patience,
        lock_budget=lock_budget,
        should_stop=should_stop,
        should_pause=should_pause,
        must_stop=must_stop,
        beside_users=settings_beside_users(config, report=report, free_disk=free_disk),
        looks_for_edits=True,
        accepts_edits=accept_edited,
        counts_as_used=IN_USE in config.attributes,
        expand=wants_expand(config) if expand is None else expand,
    )
    passes = _migrate(config, script, revision, tag, find, options)
    if project is not None and passes == [True]:
        record_rest(project, script)


def wants_expand(config: Config) -> bool:
    """Whether the project says `expand = true`, in [tool.holdfast] or alembic.ini."""
    return (config.get_main_option("expand") or "").strip().lower() in ("1", "on", "true", "yes")


def is_up_to_date(config: Config) -> bool:
    """Whether a quick look shows that nothing is pending: two round trips, no env.py."""
    project = project_of(config)
    return project is not None and project.head_if_up_to_date() is not None


def downgrade(
    config: Config,
    revision: str,
    sql: bool = False,
    tag: str | None = None,
    *,
    report: Report = silent,
    patience: timedelta = leader.PATIENCE,
    lock_budget: timedelta = LOCK_BUDGET,
    should_stop: Callable[[], bool] = never,
    should_pause: Callable[[], bool] = never,
    must_stop: Callable[[], bool] = never,
) -> None:
    """Revert down to `revision` ("base", an id, "-1"): alembic.command.downgrade, run safely.

    Parameters and errors as for `upgrade`.
    """
    if sql:
        command.downgrade(config, revision, sql=True, tag=tag)
        return
    from holdfast.migrate.taken_back import steps_down  # loads what an upgrade has no use for

    script = open_history(config)

    def find(heads: Heads) -> list[RevisionStep]:
        return steps_down(script, revision, heads)

    options = RunOptions(
        report=stopping_while_waiting(report, should_stop),
        patience=patience,
        lock_budget=lock_budget,
        should_stop=should_stop,
        should_pause=should_pause,
        must_stop=must_stop,
        beside_users=settings_beside_users(config, report=report),
    )
    try:
        _migrate(config, script, revision, tag, find, options)
    except HoldfastError as error:
        error.again = COMMAND["down"]
        raise


def _migrate(
    config: Config,
    script: ScriptDirectory,
    revision: str,
    tag: str | None,
    find: FindSteps,
    options: RunOptions,
) -> list[bool]:
    """Run env.py; say for each call of run_migrations whether it was on an engine of our settings."""
    so_far = RunSoFar(report=options.report)
    options = changed(options, report=so_far)

    @functools.cache
    def new_connections() -> "NewConnections":
        from holdfast.execute.lock_patience import NewConnections  # loads what has to do with users

        return NewConnections(budget=options.lock_budget, report=so_far)

    def named(who: tuple[str, ...]) -> None:
        options.report(
            StepWatched(step=A_READ, seen=Watched(phase="waiting", done=None, waits_for=who))
        )

    while True:
        with noting_settings() as settings_seen:
            run = _Run(
                script,
                find,
                options,
                settings_seen,
                passes_of(config),
                may_repeat="connection" not in config.attributes,
            )
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
                with environment, naming_blockers(named, with_own=False) as statements:
                    script.run_env()
            except Exception as error:
                run.ask_guard(error)  # Alembic's own statements may have met it too
                if run.ended is None:
                    run.raise_own(error)
                    took = statements.failed_after
                    if explained := _explained(error, run, took=took, standing=str(so_far)):
                        raise explained from error
                    raise
                if not run.may_repeat:
                    from holdfast.execute.lock_patience import ended_for_good

                    raise ended_for_good(*run.ended) from error
            finally:
                run.release()
        if run.ended is not None:  # with its connection: on a new one it goes on, as after a kill
            new_connections().ended(*run.ended, at=so_far.committed)
        elif not run.heads_moved:
            return run.passes


@contextmanager
def _committing(
    session: MigrationSession, context: MigrationContext, *, is_fresh: bool
) -> Iterator[None]:
    """Notice, for all revisions of an empty database, who commits, and write the version rows ourselves."""
    if not is_fresh:
        yield
        return
    with (
        seeing_others_commit(session),
        left_to_us(context, functools.partial(writes_version, session)),
    ):
        yield


def _explained(
    error: Exception, run: "_Run", *, took: timedelta, standing: str
) -> HoldfastError | None:
    """Give the error for a timeout of the server or for a lost connection; None if it is neither."""
    # This import is only needed here.
    from holdfast.migrate.lost_connection import lost_connection
    from holdfast.migrate.timed_out import timed_out

    ended = timed_out(error, beside=run.migration, took=took, standing=standing)
    return ended or lost_connection(error, standing=standing)


class _Run:
    """A run within one execution of env.py: takes the lead, executes what is pending, and releases both."""

    def __init__(
        self,
        script: ScriptDirectory,
        find: FindSteps,
        options: RunOptions,
        settings_seen: Collection[str],
        databases: Passes,
        *,
        may_repeat: bool,
    ) -> None:
        self.script = script
        self.databases = databases
        self.known = {revision.revision for revision in script.walk_revisions()}
        self.settings_seen = settings_seen  # by env.py; grows while it runs
        self.find = find
        self.options = options
        self.may_repeat = may_repeat  # on a new connection, where the guard has ended ours
        self.leadership: leader.Leadership | Lease | None = None
        self.session: MigrationSession | None = None
        self.migration: Connection | None = None  # of env.py, once it has given one
        self.canceller: Canceller | None = None
        # Another process has migrated while we waited: env.py runs to its end, so that it disposes
        # of its engine, and then once more. Alembic has read the heads before it called `steps`.
        self.heads_moved = False
        # By the guard, outside of what is tried again at once: what, and why.
        self.ended: tuple[str, GuardVerdict] | None = None
        self.schema = ""  # of the version table
        self.revision = ""  # that is under way
        self.writes_version = False  # its function has returned, and Alembic writes its row
        self.own_error: HoldfastError | None = None  # what a revision has raised
        self.passes: list[bool] = []

    def steps(self, heads: Heads, context: MigrationContext) -> Iterator[RevisionStep]:
        """Give the steps that Alembic's run_migrations executes and commits one by one."""
        try:
            yield from self._steps(heads, context)
        except Exception:
            self.release()  # here, inside the event loop of an async env.py: the lock would stay
            raise

    def _steps(self, heads: Heads, context: MigrationContext) -> Iterator[RevisionStep]:
        if self.databases.next(context) is None:
            return
        self.passes.append(is_by_settings(context))
        self._refuse_unknown(heads)
        pending = self.find(heads)
        if not pending:
            self._refuse_half_way(context)
            return
        assert context.connection is not None  # noqa: S101  # only None in offline mode
        self.migration = context.connection
        session = self.session = MigrationSession(context.connection)
        session.keep_local_settings(self.settings_seen)
        self._lead(heads, context, session)
        if self.heads_moved:
            self.release()
            return
        self.canceller = Canceller(session, self.options.must_stop)
        is_fresh = self._is_fresh(heads, context, session)
        kind = FreshRevision if is_fresh else self._beside_users(session)
        run_context = self._run_context(context, {} if is_fresh else history.latest(session))
        if is_fresh and session.takes_several and not session.in_autocommit():
            run_context = changed(run_context, version_rows=version_rows(context, pending))
        if not is_fresh:
            self._refuse_database(heads, context, run_context)
        session.restore_local_settings()
        context._ensure_version_table()  # noqa: SLF001  # what run_migrations would have called
        if is_fresh:  # nobody uses it, and nobody looks for the revision either
            session.call_itself("holdfast")
        else:
            session.commit()
        with self._lets_go_on_error(session), _committing(session, context, is_fresh=is_fresh):
            for step in pending:
                self._check_leadership()
                if not is_fresh:
                    self._call_sessions(f"holdfast {step.revision.revision}")
                run = kind(step=step, context=run_context)
                self.revision = run.name
                step.migration_fn = self._wrap(run, step.migration_fn)
                yield step
                self.writes_version = False
                with self._ended_by_guard():
                    run.commit()
        session.make_durable()  # all revisions of an empty database at once
        self.release()

    def release(self) -> None:
        """End the leadership and release the connection. A second call does nothing."""
        if self.canceller is not None:
            self.canceller.close()
        session, self.session = self.session, None
        for beside in () if session is None else (session.guard, session.standbys):
            if beside is not None:
                beside.close()
        leadership, self.leadership = self.leadership, None
        for held in (session, leadership):
            try:
                if held is not None:
                    held.close()
            except Exception:  # an async connection may be gone with its loop, and the lock with it
                log.debug("the connection was already closed", exc_info=True)

    def _lead(self, heads: Heads, context: MigrationContext, session: MigrationSession) -> None:
        if refusal := refusals.refusal_of_connection(session):
            raise refusal
        session.commit()
        self.leadership = leadership_of(session)
        report, patience = self.options.report, self.options.patience
        self.leadership.acquire(report=report, patience=patience)
        self.leadership.take_over(session, report=report, patience=patience)
        # Behind the epoch: from here on nobody else moves them.
        if set(context.get_current_heads()) != set(heads):
            self.heads_moved = True
            return
        self.schema = identify(session, context)
        if not session.is_first_here:
            history.mark_interrupted(session)

    def _is_fresh(self, heads: Heads, context: MigrationContext, session: MigrationSession) -> bool:
        """Whether nobody uses the database: no revision, no relation, nothing half-way."""
        if heads or self.options.counts_as_used:
            return False
        return is_unused(session.connection, version_table=context.version_table)

    def _beside_users(self, session: MigrationSession) -> type[OneRevision]:
        # This loads the parser and all records of operations.
        from holdfast.migrate.revision_run import RevisionRun, look_after_users

        look_after_users(session, self.options, known=self.known)
        session.commit()
        return RevisionRun

    def _run_context(
        self, context: MigrationContext, entries: dict[str, history.HistoryEntry]
    ) -> RunContext:
        assert self.session is not None  # noqa: S101  # it leads
        return RunContext(
            session=self.session,
            alembic=context,
            options=self.options,
            entries=entries,
            version_schema=self.schema,
        )

    def _refuse_database(
        self, heads: Heads, context: MigrationContext, run_context: RunContext
    ) -> None:
        """Raise if applied files were edited, or if nothing is recorded of what is in the database."""
        session, entries = run_context.session, run_context.entries
        if self.options.looks_for_edits:
            self._look_for_edits(heads, session, entries)
        refusal = None
        if not heads:
            refusal = refusals.refusal_of_database_without_revision(
                session, context, self.script, entries
            )
        if refusal is not None:
            self.release()
            raise refusal
        session.commit()

    def _look_for_edits(
        self, heads: Heads, session: MigrationSession, entries: Mapping[str, history.HistoryEntry]
    ) -> None:
        """Refuse applied revisions whose files were edited, or record that a person accepts them."""
        known = self.script.revision_map
        edited = {
            node.revision: checksum
            for node in known._get_ancestor_nodes(known.get_revisions(heads))  # noqa: SLF001  # see status
            if isinstance(node, Script)
            and (
                history.is_edited(
                    entries.get(node.revision), checksum := history.checksum_of(Path(node.path))
                )
                or node.revision in edited_by_record(self.script)
            )
        }
        if edited and not self.options.accepts_edits:
            self.release()
            raise EditedRevision(revisions=tuple(sorted(edited)))
        for revision, checksum in edited.items():
            history.accept(session, revision, checksum)

    def _refuse_unknown(self, heads: Heads) -> None:
        unknown = tuple(head for head in heads if head not in self.known)
        if unknown:
            raise DatabaseAhead(revisions=unknown)

    def _refuse_half_way(self, context: MigrationContext) -> None:
        """Refuse to end successfully while a revision is half-way and nobody is working on it."""
        assert context.connection is not None  # noqa: S101  # see steps
        with closing(MigrationSession(context.connection)) as session:
            mine = version_table_of(session, context)
        found = left_half_way(context.connection, version_table=mine)
        if found is not None and found.revision in self.known:
            raise UnfinishedRevision(
                revision=found.revision, direction=found.direction, finish=COMMAND[found.direction]
            )

    def _call_sessions(self, name: str) -> None:
        """Name the sessions, the idle one too, so that pg_stat_activity shows what they are for."""
        for held in (self.session, self.leadership):
            if held is not None:
                held.call_itself(name)

    def _check_leadership(self) -> None:
        if self.leadership is not None:
            self.leadership.verify()

    def _was_cancelled(self, error: BaseException) -> bool:
        has_cancelled = self.canceller is not None and self.canceller.has_cancelled
        return has_cancelled and sqlstate(error) == QUERY_CANCELED

    @contextmanager
    def _ended_by_guard(self) -> Iterator[None]:
        """Note in the block what the guard has ended, whichever exception shows it."""
        try:
            yield
        except Exception as error:
            self.ask_guard(error)
            self.release()  # here, inside the event loop of an async env.py
            raise

    def raise_own(self, error: Exception) -> None:
        """Raise the error of a revision if env.py's own ROLLBACK on a lost connection would hide it."""
        if self.own_error is not None and not isinstance(error, HoldfastError):
            raise self.own_error from error

    def ask_guard(self, error: BaseException) -> None:
        """Note in `ended` what the guard has done, if that led to this error."""
        session = self.session
        verdict = error.verdict if isinstance(error, EndedByGuard) else None
        if session is not None and session.guard is not None and verdict is None:
            with suppress(Exception):  # the connection may be gone
                session.rollback()
            verdict = session.guard.take_verdict()
        if verdict is not None:
            self.ended = (f"revision {self.revision}", verdict)

    @contextmanager
    def _lets_go_on_error(self, session: MigrationSession) -> Iterator[None]:
        """Note errors after the function at once: in Alembic's version row, or in COMMIT of some env.py.

        An async connection can only be closed in its event loop, which Alembic's error leaves before anybody else
        sees it.
        """

        def note(context: ExceptionContext) -> None:
            if self.writes_version and context.connection is session.migration:
                self.ask_guard(context.original_exception)
                self.release()

        engine = session.migration.engine
        event.listen(engine, "handle_error", note)
        try:
            yield
        finally:
            self.writes_version = False
            event.remove(engine, "handle_error", note)

    def _wrap(self, run: OneRevision, function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)  # its name is in Alembic's log
        def upgrade_or_downgrade(**arguments: Any) -> None:
            try:
                with self._ended_by_guard():
                    run(function, **arguments)
                self.writes_version = True
            except BaseException as error:
                self.own_error = error if isinstance(error, HoldfastError) else None
                self.release()  # here, inside the event loop of an async env.py
                if self._was_cancelled(error):
                    raise StoppedInStep(revision=run.name) from error
                raise

        return upgrade_or_downgrade
