"""Finds what a run would do by doing it: applies the pending revisions to a scratch database.

Locks, scans and rewrites are those seen there; rows, bytes and who is in the way right now are those of the
database itself, which is only read.
"""

from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

import psycopg
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from holdfast.engine.settings import DiskSettings, StandbySettings
from holdfast.errors import HoldfastError
from holdfast.errors.statement import LongStatement, NotEnoughDisk
from holdfast.execute import history, layout, waiting
from holdfast.execute.progress import (
    Event,
    Report,
)
from holdfast.execute.session import MigrationSession
from holdfast.migrate import refusals
from holdfast.migrate.project_connection import (
    ProjectConnection,
    each_database,
    on_every_pass,
    on_project_connection,
)
from holdfast.migrate.run import upgrade
from holdfast.migrate.run_options import IN_USE
from holdfast.migrate.version_table import identify
from holdfast.observe.blockers import Blocker, blockers_of
from holdfast.observe.citus import blockers_on_workers
from holdfast.observe.database import count_user_relations
from holdfast.observe.free_disk import UNLIMITED, free_disk
from holdfast.observe.placements import placements
from holdfast.preview.followers import notes_of_followers
from holdfast.preview.rows_in_the_way import RowsInTheWay, ask, noting_questions
from holdfast.preview.trial import PlannedRevision, PlannedStep, Size, Trial
from holdfast.preview.who_may_notice import notices
from holdfast.rewrite.locks import Lock
from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.steps import (
    CopyRowsStep,
    Step,
)
from holdfast.rewrite.waiting import Recorded, to_json
from holdfast.scratch.observer import observing
from holdfast.scratch.redirection import redirected_to
from holdfast.scratch.schema_copy import tell_placements
from holdfast.scratch.template import scratch_database, scratch_server

PATIENCE_WITH_ROWS = timedelta(seconds=5)
# A table that somebody has locked, or waits to lock, is not measured: that would wait behind it.
SIZES = text("""
WITH locked AS MATERIALIZED (
  SELECT DISTINCT relation FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation IS NOT NULL)
SELECT n.nspname AS schema, c.relname AS name,
  CASE WHEN c.reltuples >= 0 THEN c.reltuples::int8 ELSE pg_stat_get_live_tuples(c.oid) END AS rows,
  CASE WHEN c.oid IN (SELECT relation FROM locked)
    THEN c.relpages::int8 * current_setting('block_size')::int8
    ELSE pg_relation_size(c.oid) END AS bytes
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'holdfast')
""")
SET_SIZE = "UPDATE pg_class SET reltuples = %s, relpages = %s WHERE oid = to_regclass(%s)"
SET_WAITING = """
INSERT INTO holdfast.waiting (version_table, revision, document, settings) VALUES (%s, %s, %s, '[]')
"""
SERVER = text("""
    SELECT current_setting('server_version_num')::int / 10000 AS major,
           to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL AS is_citus
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What `holdfast run` would do to one database."""

    database: str
    at: tuple[str, ...]  # where the database is
    is_new: bool  # nothing is in it: the history runs as it is written
    revisions: tuple[PlannedRevision, ...]
    is_citus: bool = False  # and the scratch server has none: what its workers answer was not tried

    @property
    def is_refused(self) -> bool:
        """Whether a run would stop before its end, as far as is known."""
        return any(
            revision.refusal
            or any(rows.count for step in revision.steps for rows in step.rows_in_the_way)
            for revision in self.revisions
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    database: str
    is_behind: bool
    heads: tuple[str, ...]
    is_new: bool
    major: int
    sizes: dict[QualifiedName, Size]
    version_table: str
    free_disk: int | None  # bytes, as somebody has said or as this machine sees them
    waits: tuple[Recorded, ...] = ()  # for `holdfast finish`
    placements: str | None = None  # of the tables of a Citus cluster


def forecasts(
    config: Config,
    revision: str = "heads",
    *,
    patience_with_rows: timedelta = PATIENCE_WITH_ROWS,
    expand: bool | None = None,
) -> tuple[Forecast, ...]:
    """Give the plan of `holdfast run --to revision` for each database that env.py goes through."""
    return tuple(
        forecast(each, revision, patience_with_rows=patience_with_rows, expand=expand)
        for _, each in each_database(config)
    )


def forecast(
    config: Config,
    revision: str = "heads",
    *,
    patience_with_rows: timedelta = PATIENCE_WITH_ROWS,
    expand: bool | None = None,
) -> Forecast:
    """Give the plan of `holdfast run --to revision`.

    Each look for rows in the way of a step ends after `patience_with_rows`; with zero, nobody looks.
    """
    passes = on_every_pass(config, _target)
    target = next((each for each in passes if each.is_behind), passes[0])
    heads = tuple(each.heads for each in passes)
    is_one = len({frozenset(each) for each in heads}) == 1
    with (
        scratch_server(major=18 if target.major > 16 else 16) as server,
        scratch_database(
            config,
            server=server,
            revision=target.heads or ("base",),
            each_pass=() if is_one else heads,
        ) as url,
        redirected_to(url, config) as redirected,
    ):
        trial = _tried(redirected, url, revision, target, expand=expand)
        revisions = tuple(trial.revisions())
    if trial.questions and patience_with_rows:
        found = on_project_connection(
            config, partial(ask, questions=trial.questions, patience=patience_with_rows)
        )
        revisions = tuple(
            replace(each, steps=tuple(_with_rows(step, found) for step in each.steps))
            for each in revisions
        )
    revisions = _followed(config, _noticed(config, revisions))
    locks = tuple(lock for each in revisions for step in each.steps for lock in step.locks)
    in_the_way = on_project_connection(
        config, partial(_in_the_way, locks=locks, is_citus=target.placements is not None)
    )
    return Forecast(
        database=target.database,
        at=target.heads,
        is_new=target.is_new,
        is_citus=target.placements is not None,
        revisions=tuple(
            replace(each, steps=tuple(_blocked(step, in_the_way) for step in each.steps))
            for each in revisions
        ),
    )


def _in_the_way(
    project: ProjectConnection, *, locks: tuple[Lock, ...], is_citus: bool
) -> tuple[Blocker, ...]:
    here = blockers_of(project.connection, locks)
    return (*here, *blockers_on_workers(project.connection, locks)) if is_citus else here


def _noticed(config: Config, revisions: tuple[PlannedRevision, ...]) -> tuple[PlannedRevision, ...]:
    """Add to revisions with a column copy who relies on the columns of the table."""
    steps = [step.step for each in revisions for step in each.steps]
    changes: dict[QualifiedName, dict[str, str]] = {}
    for step in steps:
        if isinstance(step, CopyRowsStep):
            changes.setdefault(step.table, {}).update(step.new_types)
    if not changes:
        return revisions
    found = on_project_connection(config, partial(notices, changes=changes))
    return tuple(
        replace(
            each,
            steps=tuple(
                replace(step, notices=found[step.step.table])
                if isinstance(step.step, CopyRowsStep)
                else step
                for step in each.steps
            ),
        )
        for each in revisions
    )


def _followed(
    config: Config, revisions: tuple[PlannedRevision, ...]
) -> tuple[PlannedRevision, ...]:
    """Add to revisions what standbys and subscribers would notice."""
    steps = tuple((step.step, step.locks) for each in revisions for step in each.steps)
    urls = StandbySettings().urls()
    found = iter(
        on_project_connection(
            config, lambda project: notes_of_followers(project.connection, steps=steps, urls=urls)
        )
    )
    return tuple(
        replace(
            each,
            steps=tuple(
                replace(step, notices=(*step.notices, *next(found))) for step in each.steps
            ),
        )
        for each in revisions
    )


def _target(project: ProjectConnection) -> _Target:
    with closing(MigrationSession(project.connection)) as session:
        identify(session, project.context)
        if not project.heads:
            _require_known(session, project)
        waits, version_table = waiting.recorded(session), session.version_table
    server = project.connection.execute(SERVER).one()
    return _Target(
        database=project.database.name,
        is_behind=set(project.heads) != set(project.script.get_heads()),
        heads=project.heads,
        is_new=not project.heads
        and not count_user_relations(
            project.connection, version_table=project.context.version_table
        ),
        major=server.major,
        sizes=_sizes(project.connection),
        placements=placements(project.connection) if server.is_citus else None,
        version_table=version_table,
        free_disk=free_disk(project.connection, told=DiskSettings().disk),
        waits=waits,
    )


def _require_known(session: MigrationSession, project: ProjectConnection) -> None:
    """Raise what `run` would refuse: a database with tables of which nothing is recorded has no plan."""
    entries = history.latest(session) if layout.exist(session) else {}
    refusal = refusals.refusal_of_database_without_revision(
        session, project.context, project.script, entries
    )
    if refusal is not None:
        raise refusal


def _sizes(connection: Connection) -> dict[QualifiedName, Size]:
    return {
        QualifiedName(schema=row.schema, name=row.name): Size(rows=row.rows, bytes=row.bytes)
        for row in connection.execute(SIZES)
    }


def _tried(
    config: Config, url: str, revision: str, target: _Target, *, expand: bool | None
) -> "Trial":
    if target.is_new:
        trial = Trial(sizes=target.sizes, free_disk=target.free_disk)
        _run(config, revision, trial, report=trial, expand=expand)
        return trial
    config.attributes[IN_USE] = True
    _set_sizes(url, target.sizes)
    if target.placements is not None:
        tell_placements(target.placements, to=url)
    _set_waits(url, target)
    with observing(url) as observer, noting_questions(url) as questions:
        trial = Trial(sizes=target.sizes, free_disk=target.free_disk, observer=observer)

        def report(told: Event) -> None:
            trial(told)
            questions(told)

        _run(config, revision, trial, report=report, expand=expand)
        trial.seen = observer.seen()
        trial.questions = questions.asked
    return trial


def _set_sizes(url: str, sizes: dict[QualifiedName, Size]) -> None:
    """Give the scratch database the real table sizes, as some statements are refused on large tables only."""
    with psycopg.connect(url, autocommit=True) as connection:
        block = int(connection.execute("SHOW block_size").fetchone()[0])  # type: ignore[index]  # it has a row
        connection.cursor().executemany(
            SET_SIZE, [(s.rows, s.bytes // block, str(name)) for name, s in sizes.items()]
        )


def _set_waits(url: str, target: _Target) -> None:
    """Record on the scratch database what waits on the real one: a statement that needs it is refused there, too."""
    if not target.waits:
        return
    with psycopg.connect(url, autocommit=True) as connection:
        connection.cursor().executemany(
            SET_WAITING,
            [(target.version_table, w.revision, to_json(w.waiting)) for w in target.waits],
        )


def _run(
    config: Config, revision: str, trial: Trial, *, report: Report, expand: bool | None
) -> None:
    try:
        # Of the server itself: the disk of the scratch server says nothing.
        free = UNLIMITED if trial.free_disk is None else trial.free_disk
        upgrade(config, revision, report=report, expand=expand, free_disk=free)
    except HoldfastError as refusal:
        if not trial.started:  # nothing was tried: not a matter of a revision
            raise
        if isinstance(refusal, LongStatement):  # where it was tried there are no rows
            of = {str(name): size.rows for name, size in trial.sizes.items()}
            refusal.rows = of.get(refusal.relation, 0)
        trial.refusal, trial.lacks_disk = str(refusal), isinstance(refusal, NotEnoughDisk)
    except (DBAPIError, CommandError) as error:
        said = str(error.orig).strip() if isinstance(error, DBAPIError) else str(error)
        trial.refusal = f"It fails on the scratch database: {said}"


def _with_rows(step: PlannedStep, found: list[tuple[Step, RowsInTheWay]]) -> PlannedStep:
    return replace(step, rows_in_the_way=tuple(rows for about, rows in found if about is step.step))


def _blocked(step: PlannedStep, in_the_way: tuple[Blocker, ...]) -> PlannedStep:
    names = {lock.relation.name for lock in step.locks}
    return replace(step, blockers=tuple(b for b in in_the_way if b.relation in names))
