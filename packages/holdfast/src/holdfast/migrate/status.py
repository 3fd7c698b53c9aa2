"""Tells where a database stands against the project's revisions. Reads only, whatever it finds."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from alembic.config import Config
from alembic.script import Script, ScriptDirectory

from holdfast.execute import history, tables
from holdfast.execute.history import Entry
from holdfast.execute.journal import Journal, Queued
from holdfast.execute.session import MigrationSession
from holdfast.migrate.project_connection import ProjectConnection, on_every_pass
from holdfast.migrate.version_table import identify, version_table_of
from holdfast.observe.migration_progress import MigrationProgress, migration_progress
from holdfast.rewrite.statement import shortened


class State(Enum):
    """The worst thing found, and the exit status of `holdfast status`."""

    UP_TO_DATE = 0
    PENDING = 1
    AHEAD = 4
    HALF_WAY = 5
    EDITED = 6


WORST_LAST = (State.UP_TO_DATE, State.PENDING, State.EDITED, State.AHEAD, State.HALF_WAY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One revision as a person knows it."""

    revision: str
    description: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What was found."""

    state: State
    version_table: str  # schema and name: whose status it is
    applied: tuple[str, ...]  # the current heads of the database
    pending: tuple[Revision, ...]  # in the order in which `run` would apply them
    unknown: tuple[str, ...]  # the database has them, the project has no file
    edited: tuple[Revision, ...]  # the file is not the one that ran
    half_way: tuple[Entry, ...]  # the last run of these failed or was killed
    left: tuple[str, ...]  # of the queue of the one that is half-way: what is still to do
    migrator: str | None  # who migrates right now
    progress: MigrationProgress | None  # and how far that is


def status(config: Config) -> Status:
    """Look at the database that env.py connects to; the worst, where it loops over schemas or databases."""
    return worst(statuses(config))


def statuses(config: Config) -> tuple[Status, ...]:
    """One for each call of run_migrations in env.py."""
    return on_every_pass(config, status_of)


def worst(found: tuple[Status, ...]) -> Status:
    """The first of those in the worst state."""
    return max(found, key=lambda each: WORST_LAST.index(each.state))


def status_of(project: ProjectConnection) -> Status:
    """Where the database stands that is looked at."""
    with closing(MigrationSession(project.connection)) as session:
        identify(session, project.context)
        name = version_table_of(session, project.context)
        return _look(project.script, project.heads, session, version_table=name)


def _look(
    script: ScriptDirectory,
    heads: tuple[str, ...],
    session: MigrationSession,
    *,
    version_table: str,
) -> Status:
    known = tables.exist(session)
    entries = history.latest(session) if known else {}
    left = Journal(session).queued() if known else ()
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
    )
    half_way = tuple(
        entry
        for entry in entries.values()
        if entry.outcome in ("running", "failed", "interrupted")
        and (entry.direction == "down") == (entry.revision in applied)
    )
    return Status(
        version_table=version_table,
        state=_worst(pending=pending, unknown=unknown, edited=edited, half_way=half_way),
        applied=heads,
        pending=tuple(_described(r) for r in pending),
        unknown=unknown,
        edited=edited,
        half_way=half_way,
        left=tuple(_in_words(statement) for statement in left),
        migrator=None if progress is None else progress.migrator,
        progress=progress,
    )


def _worst(
    *,
    pending: tuple[object, ...],
    unknown: tuple[object, ...],
    edited: tuple[object, ...],
    half_way: tuple[object, ...],
) -> State:
    if half_way:
        return State.HALF_WAY
    if unknown:
        return State.AHEAD
    if edited:
        return State.EDITED
    return State.PENDING if pending else State.UP_TO_DATE


def _has(script: ScriptDirectory, revision: str) -> bool:
    return any(known.revision == revision for known in script.walk_revisions())


def _applied(script: ScriptDirectory, heads: tuple[str, ...]) -> Mapping[str, Script]:
    known = script.revision_map
    nodes = known._get_ancestor_nodes(known.get_revisions(heads))  # noqa: SLF001  # depends_on included
    return {node.revision: node for node in nodes if isinstance(node, Script)}


def _described(revision: Script) -> Revision:
    return Revision(revision=revision.revision, description=revision.doc or "")


def _in_words(statement: Queued) -> str:
    if not statement.steps:
        return shortened(statement.sql)
    step = statement.steps[statement.steps_done]
    return f"step {statement.steps_done + 1} of {len(statement.steps)}: {step.describe()}"
