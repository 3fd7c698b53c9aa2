"""Finishes what a run with --expand left waiting: online, step by step, resuming after a kill."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime

from alembic.config import Config
from sqlalchemy.exc import DBAPIError

from holdfast.engine.settings import ReleaseSettings
from holdfast.errors.finish import (
    CannotTellUse,
    ChangedWhileItWaited,
    ShadowCarriesMore,
    StillInUse,
    StillNeeded,
)
from holdfast.errors.sqlstate import DEPENDENT_OBJECTS_STILL_EXIST, sqlstate
from holdfast.errors.standing import COMMAND
from holdfast.errors.steps import CopyDisturbed
from holdfast.errors.unfinished import UnfinishedRevision
from holdfast.execute import layout, lock_patience, waiting
from holdfast.execute.executor import Executor
from holdfast.execute.guard import Guard
from holdfast.execute.journal import Journal
from holdfast.execute.lock_budget import LOCK_BUDGET
from holdfast.execute.lock_patience import LockPatience
from holdfast.execute.progress import Report, silent
from holdfast.execute.session import MigrationSession
from holdfast.execute.verdict import EndedByGuard, GuardVerdict
from holdfast.execute.waiting import Entry, FinishJournal
from holdfast.migrate.locked_connection import LockedConnection, on_every_locked_pass
from holdfast.migrate.project_connection import ProjectConnection, on_every_pass
from holdfast.migrate.run_options import ON_SCRATCH
from holdfast.migrate.run_so_far import RunSoFar
from holdfast.migrate.signs import COUNTED, Signs, look, signs
from holdfast.migrate.stopping import never
from holdfast.migrate.version_table import identify, version_table_of
from holdfast.observe.catalog import facts_for
from holdfast.rewrite.facts import NewRelations
from holdfast.rewrite.side_by_side.finish import clearing, finish_steps, missing_name
from holdfast.rewrite.side_by_side.shadow import CARRIES_MORE
from holdfast.rewrite.statement import parse
from holdfast.rewrite.steps import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingLine:
    """One thing that waits for `finish`, described for a person."""

    what: str
    revision: str
    since: datetime
    has_begun: bool  # its end is half-way
    sql: str  # what was written
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What `finish` has finished of one version table."""

    database: str
    version_table: str
    gone: tuple[WaitingLine, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """What `finish` would do for one version table, and what speaks against it."""

    database: str
    version_table: str
    waiting: tuple[WaitingLine, ...]
    steps: tuple[tuple[str, ...], ...]  # of each
    in_use: tuple[str, ...]
    unproven: tuple[str, ...]


def waiting_in(session: MigrationSession) -> tuple[WaitingLine, ...]:
    """Give what waits in the session's version table."""
    return tuple(map(line_of, waiting.entries(session)))


def line_of(entry: Entry) -> WaitingLine:
    """Describe what waits for a person."""
    return WaitingLine(
        what=str(entry.waiting),
        revision=entry.recorded.revision,
        since=entry.since,
        has_begun=entry.has_begun,
        sql=entry.waiting.sql,
        notes=entry.waiting.notes,
    )


def prospects(config: Config, *, revision: str | None = None) -> tuple[Prospect, ...]:
    """Say what `finish` would do in each database that env.py goes through. Writes nothing."""

    def ask(project: ProjectConnection) -> Prospect:
        session = MigrationSession(project.connection)
        try:
            identify(session, project.context)
            place = version_table_of(session, project.context)
            entries = _chosen(session, revision)
            if not entries:
                return Prospect(
                    database=project.database.name,
                    version_table=place,
                    waiting=(),
                    steps=(),
                    in_use=(),
                    unproven=(),
                )
            found = signs(entries, look(session, entries), release=ReleaseSettings().release)
            steps = tuple(
                tuple(step.describe() for step in _steps(session, entry)) for entry in entries
            )
            session.rollback()
            return Prospect(
                database=project.database.name,
                version_table=place,
                waiting=tuple(map(line_of, entries)),
                steps=steps,
                in_use=found.in_use,
                unproven=found.unproven,
            )
        finally:
            session.close()

    return on_every_pass(config, ask)


def finish(
    config: Config,
    *,
    revision: str | None = None,
    yes: bool = False,
    report: Report = silent,
    should_stop: Callable[[], bool] = never,
) -> tuple[Finished, ...]:
    """Finish what waits, of one revision or of all, and give it. `yes`: the caller knows that nobody uses it.

    Raises UnfinishedRevision, StillInUse, CannotTellUse, ShadowCarriesMore, StillNeeded, ChangedWhileItWaited,
    and what a step raises.
    """

    gone: dict[tuple[str, str], list[WaitingLine]] = {}
    ended: list[GuardVerdict] = []
    so_far = RunSoFar(report=report)
    new_connections = lock_patience.NewConnections(budget=LOCK_BUDGET, report=report)

    def work(locked: LockedConnection) -> None:
        place = version_table_of(locked.session, locked.context)
        found = gone.setdefault((locked.database.name, place), [])
        try:
            found.extend(
                _finish(
                    locked.session,
                    revision=revision,
                    yes=yes,
                    has_users=ON_SCRATCH not in config.attributes,
                    report=so_far,
                    should_stop=should_stop,
                )
            )
        except EndedByGuard as error:
            ended.append(error.verdict)
            raise

    while True:
        try:
            on_every_locked_pass(config, work, report=report)
        except Exception:
            if not ended:
                raise
            # With its connection: on a new one it goes on, as after a kill.
            new_connections.ended("finish", ended.pop(), at=so_far.committed)
        else:
            return tuple(
                Finished(database=database, version_table=table, gone=tuple(lines))
                for (database, table), lines in gone.items()
            )


def _finish(
    session: MigrationSession,
    *,
    revision: str | None,
    yes: bool,
    has_users: bool,
    report: Report,
    should_stop: Callable[[], bool],
) -> Iterator[WaitingLine]:
    if (found := Journal(session).unfinished()) is not None:
        raise UnfinishedRevision(
            revision=found.revision, direction=found.direction, finish=COMMAND[found.direction]
        )
    entries = _chosen(session, revision)
    fresh = [entry for entry in entries if not entry.has_begun]
    if fresh:
        _require_unused(session, fresh, yes=yes)
    session.commit()
    session.guard = Guard(session, has_users=has_users)
    try:
        for entry in entries:
            finish_one(session, entry, report=report, should_stop=should_stop)
            yield line_of(entry)
    finally:
        guard, session.guard = session.guard, None
        guard.close()
    session.make_durable()


def _chosen(session: MigrationSession, revision: str | None) -> tuple[Entry, ...]:
    if not layout.exist(session):
        return ()
    found = waiting.entries(session)
    return tuple(e for e in found if revision is None or e.recorded.revision == revision)


def _require_unused(session: MigrationSession, entries: Sequence[Entry], *, yes: bool) -> None:
    """Refuse to finish what is in use. What was seen is kept, for the next look to compare with."""
    seen = look(session, entries)
    found: Signs = signs(entries, seen, release=ReleaseSettings().release)
    names = tuple(str(entry.waiting) for entry in entries)
    if found.in_use or (found.unproven and not yes):
        for entry, counted in zip(entries, seen.counted, strict=True):
            waiting.note_seen(session, entry, COUNTED.dump_json(counted).decode())
        session.commit()
    if found.in_use:
        raise StillInUse(waiting=names, signs=found.in_use)
    if found.unproven and not yes:
        raise CannotTellUse(waiting=names, unseen=found.unproven)


def finish_one(
    session: MigrationSession,
    entry: Entry,
    *,
    report: Report,
    should_stop: Callable[[], bool] = never,
    steps: tuple[Step, ...] | None = None,
) -> None:
    """Run the steps, or the rest of them, that finish one thing which waits; it no longer waits then."""
    steps = entry.steps or (_steps(session, entry) if steps is None else steps)
    session.commit()
    if not steps:
        waiting.forget(session, [entry.recorded.id])
        session.commit()
        return
    journal = FinishJournal(session=session)
    unit = entry.queued(steps)
    if entry.steps is None:
        journal.plan(unit, steps)
        session.commit()
    executor = Executor(
        session=session,
        journal=journal,
        patience=LockPatience(session=session, report=report),
        report=report,
        revision=entry.recorded.revision,
        should_stop=should_stop,
    )
    with _explained(entry):
        executor.run(unit)


def _steps(session: MigrationSession, entry: Entry) -> tuple[Step, ...]:
    with session.more_local_settings(entry.settings):
        (statement,) = parse(entry.waiting.sql)
        facts = facts_for(session.connection, statement, new=NewRelations())
        if missing := missing_name(entry.waiting, facts=facts):
            raise ChangedWhileItWaited(
                waiting=str(entry.waiting),
                missing=missing,
                clear="; ".join(clearing(entry.waiting)),
                number=entry.recorded.id,
            )
        today = date.fromisoformat(entry.today)
        return finish_steps(entry.waiting, statement, facts=facts, today=today)


@contextmanager
def _explained(entry: Entry) -> Iterator[None]:
    try:
        yield
    except CopyDisturbed as error:
        error.again = "holdfast finish"
        raise
    except DBAPIError as error:
        if sqlstate(error) == DEPENDENT_OBJECTS_STILL_EXIST:
            said = " ".join(str(error.orig).split("\nHINT:")[0].split())
            raise StillNeeded(waiting=str(entry.waiting), found=said) from error
        if sqlstate(error) != CARRIES_MORE:
            raise
        found = str(error.orig).strip().splitlines()[0]
        raise ShadowCarriesMore(waiting=str(entry.waiting), found=found) from error
