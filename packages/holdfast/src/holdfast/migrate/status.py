"""Compares a database with the project's revisions for `holdfast status`. Reads only, whatever it finds."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from alembic.config import Config
from alembic.script import Script, ScriptDirectory

from holdfast.errors import HoldfastError
from holdfast.errors.migration import DatabaseAhead, EditedRevision
from holdfast.execute import history, layout
from holdfast.execute.history import HistoryEntry
from holdfast.execute.journal import Journal, Queued, Unfinished
from holdfast.execute.session import MigrationSession
from holdfast.migrate import refusals
from holdfast.migrate.database_state import (
    DatabaseFacts,
    HalfWay,
    State,
    database_state,
    failed_attempts,
)
from holdfast.migrate.finish import WaitingLine, waiting_in
from holdfast.migrate.history_files import edited_by_record, refusal_of_files
from holdfast.migrate.project_connection import ProjectConnection, on_every_pass
from holdfast.migrate.version_table import identify, version_table_of
from holdfast.observe.migration_progress import MigrationProgress, migration_progress
from holdfast.rewrite.statement import shortened
from holdfast.rewrite.steps import (
    around,
    in_words,
    may_grow,
    total,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One revision, named for a person."""

    revision: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What `holdfast status` has found out about one database."""

    state: State
    database: str
    version_table: str  # schema and name: whose status it is
    says: str  # the state in words
    exit_status: int  # of `holdfast status`
    refusal: str | None  # with which words `run` would stop before it begins
    applied: tuple[str, ...]  # the current heads of the database
    pending: tuple[Revision, ...]  # in the order in which `run` would apply them
    unknown: tuple[str, ...]  # the database has them, the project has no file
    edited: tuple[Revision, ...]  # the file is not the one that ran
    half_way: tuple[HistoryEntry, ...]  # a part of this one is done and recorded: at most one
    failed: tuple[HistoryEntry, ...]  # the last run of these failed or was killed, and left nothing
    waits: tuple[WaitingLine, ...]  # for `holdfast finish`: no error
    left: tuple[str, ...]  # of the queue of the one that is half-way: what is still to do
    migrator: str | None  # who migrates right now
    progress: MigrationProgress | None  # and how far that is


def status(config: Config) -> Status:
    """Examine the database that env.py connects to; the worst one if it loops over schemas or databases."""
    return worst(statuses(config))


def statuses(config: Config) -> tuple[Status, ...]:
    """Give the status of each database and version table: one for each call of run_migrations in env.py."""
    return on_every_pass(config, status_of)


def worst(found: tuple[Status, ...]) -> Status:
    """Give the first of the statuses in the most urgent state."""
    order = list(State)
    return min(found, key=lambda each: order.index(each.state))


def status_of(project: ProjectConnection) -> Status:
    """Give the status of the database on this connection."""
    with closing(MigrationSession(project.connection)) as session:
        identify(session, project.context)
        return _look(project, session)


def _look(project: ProjectConnection, session: MigrationSession) -> Status:
    script, heads = project.script, project.heads
    known = layout.exist(session)
    entries = history.latest(session) if known else {}
    unfinished = Journal(session).unfinished() if known else None
    progress = migration_progress(session.connection)
    unknown = tuple(head for head in heads if not _has(script, head))
    applied = _applied(script, heads) if not unknown else {}
    pending = tuple(
        revision
        for revision in reversed(list(script.walk_revisions()))
        if not unknown and revision.revision not in applied
    )
    edited = tuple(
        _described(r)
        for r in applied.values()
        if history.is_edited(entries.get(r.revision), history.checksum_of(Path(r.path)))
        or r.revision in edited_by_record(script)
    )
    facts = DatabaseFacts(
        pending=tuple(revision.revision for revision in pending),
        applied=frozenset(applied),
        unknown=unknown,
        edited=tuple(revision.revision for revision in edited),
        half_way=_half_way(unfinished),
        attempts=tuple(entries.values()),
        is_migrating=progress is not None,
        refusal=_refusal(
            project,
            session,
            entries,
            unfinished,
            pending=pending,
            unknown=unknown,
            edited=tuple(sorted(revision.revision for revision in edited)),
        ),
    )
    found = database_state(facts)
    failed = {attempt.revision for attempt in failed_attempts(facts)}
    half_way = unfinished.revision if unfinished else None
    return Status(
        database=project.database.name,
        version_table=version_table_of(session, project.context),
        state=found.state,
        says=found.says,
        exit_status=found.exit_status,
        refusal=None if found.refusal is None else str(found.refusal),
        applied=heads,
        pending=tuple(_described(r) for r in pending),
        unknown=unknown,
        edited=edited,
        half_way=tuple(entry for entry in entries.values() if entry.revision == half_way),
        failed=tuple(entry for entry in entries.values() if entry.revision in failed),
        waits=waiting_in(session),
        left=tuple(_left(Journal(session).every(), unfinished)) if known else (),
        migrator=None if progress is None else progress.migrator,
        progress=progress,
    )


def _half_way(unfinished: Unfinished | None) -> HalfWay | None:
    if unfinished is None:
        return None
    return HalfWay(revision=unfinished.revision, direction=unfinished.direction)


def _refusal(
    project: ProjectConnection,
    session: MigrationSession,
    entries: Mapping[str, HistoryEntry],
    unfinished: Unfinished | None,
    *,
    pending: tuple[Script, ...],
    unknown: tuple[str, ...],
    edited: tuple[str, ...],
) -> HoldfastError | None:
    """Give the refusal that `run` would meet, looked for in the same order."""
    if unknown:
        return DatabaseAhead(revisions=unknown)
    refusal = refusals.refusal_of_history(project.script, project.context.config)
    if pending:
        refusal = refusal or refusal_of_files(project.script, (r.revision for r in pending))
        refusal = refusal or refusals.refusal_of_connection(session)
        if edited:
            refusal = refusal or EditedRevision(revisions=edited)
        if not project.heads:
            refusal = refusal or refusals.refusal_of_database_without_revision(
                session, project.context, project.script, entries
            )
    if unfinished and _has(project.script, unfinished.revision):
        revision = project.script.get_revision(unfinished.revision)
        refusal = refusal or refusals.refusal_of_rest(Journal(session), unfinished, revision)
    return refusal


def _has(script: ScriptDirectory, revision: str) -> bool:
    return any(known.revision == revision for known in script.walk_revisions())


def _applied(script: ScriptDirectory, heads: tuple[str, ...]) -> Mapping[str, Script]:
    known = script.revision_map
    nodes = known._get_ancestor_nodes(known.get_revisions(heads))  # noqa: SLF001  # depends_on included
    return {node.revision: node for node in nodes if isinstance(node, Script)}


def _described(revision: Script) -> Revision:
    return Revision(revision=revision.revision, description=revision.doc or "")


def _left(units: Sequence[Queued], unfinished: Unfinished | None) -> Iterator[str]:
    """Describe what is left of a queue, a line for each unit, with the number of its next step."""
    counts = [unit.count for unit in units]
    has_ended = unfinished is None or unfinished.function_ended
    may_be_more = not has_ended or may_grow(counts)
    for place, unit in enumerate(units):
        if unit.is_done:
            continue
        next_one = around(counts, place).ahead + unit.steps_done + 1
        number = in_words(next_one, total(counts), may_be_more=may_be_more)
        step = unit.steps[unit.steps_done].describe() if unit.steps else shortened(unit.sql)
        yield f"{number}: {step}"
