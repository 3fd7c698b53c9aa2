"""Finds what a run would do by doing it: applies the pending revisions to a scratch database.

Locks, scans and rewrites are those seen there; rows, bytes and who is in the way right now are those of the
database itself, which is only read.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial

import psycopg
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from holdfast.engine.settings import BackfillSettings, DiskSettings, StandbySettings
from holdfast.errors import HoldfastError
from holdfast.errors.statement import LongStatement, NotEnoughDisk, UnparsableStatement
from holdfast.execute import history, layout, waiting
from holdfast.execute.backfill_pace import BATCH
from holdfast.execute.progress import (
    DiskNeeded,
    Event,
    Report,
    RevisionDone,
    RevisionStarted,
    RowsRead,
    StatementPlanned,
    StatementsUndone,
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
from holdfast.preview.followers import of_followers
from holdfast.preview.rows_in_the_way import About, RowsInTheWay, ask, noting_questions
from holdfast.preview.who_may_notice import notices
from holdfast.rewrite.locks import Lock, strongest
from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.side_by_side.breaks import breaks
from holdfast.rewrite.single_transaction import LARGEST_BYTES, LARGEST_ROWS
from holdfast.rewrite.statement import StatementKind, parse
from holdfast.rewrite.steps import (
    BackfillStep,
    BatchStep,
    BuildIndexStep,
    CopyRowsStep,
    FillRowsStep,
    Step,
    TransactionStep,
    ValidateStep,
)
from holdfast.rewrite.waiting import Recorded, to_json
from holdfast.scratch.observer import Observer, Seen, observing
from holdfast.scratch.redirection import redirected_to
from holdfast.scratch.schema_copy import tell_placements
from holdfast.scratch.template import scratch_database, scratch_server

DDL = (StatementKind.DDL, StatementKind.TEMP)

# Rough on purpose: a plan tells seconds from hours. Bytes or rows a second, of a small server.
READ = 200_000_000
REWRITE = 40_000_000
BUILD = 40_000_000
BACKFILLED_ROWS = 50_000
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

# As a statement of its own the same write is no reason to refuse either: it runs in batches, or as it is written.
ROWS_HELD = (
    "reads every row of {tables} and holds what it writes there until it ends: a user who writes one of these"
    " rows meanwhile waits, and after 50 ms of that the run takes all of it back and tries again, five times in all."
    " Written as a statement of the revision it runs in batches: {body}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """The size of a table in the real database, as the server estimates it."""

    rows: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """One step, with what was observed of it."""

    step: Step
    is_seen: bool  # otherwise locks and scans are those that the plan announces
    is_together: bool  # committed together with the step before it; users see nothing in between
    locks: tuple[Lock, ...]
    scans: tuple[QualifiedName, ...]
    rewrites: tuple[QualifiedName, ...]
    size: Size  # of all that it reads or rewrites
    takes: timedelta  # about
    writes: tuple[QualifiedName, ...] = ()  # all rows of these, in batches
    batches: int = 0  # about
    row_writes: tuple[
        QualifiedName, ...
    ] = ()  # a body writes rows of these, and finds them by reading all
    rows_per_second: int | None = None  # that `takes` assumes, where all rows are written
    blockers: tuple[Blocker, ...] = ()  # right now
    rows_in_the_way: tuple[RowsInTheWay, ...] = ()  # right now: it would fail
    notices: tuple[str, ...] = ()  # who may notice, as far as the database itself shows


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRevision:
    """One pending revision with the steps that a run would take for it."""

    revision: str
    description: str
    steps: tuple[PlannedStep, ...]
    reads_rows: tuple[str, ...]  # with these statements: its plan may differ with the data
    refusal: str | None  # why a run would stop here
    disk: int = 0  # bytes that it needs more, about
    free_disk: int | None = None  # bytes; None where nobody knows
    lacks_disk: bool = False  # that is why it is refused


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
            config, lambda project: of_followers(project.connection, steps=steps, urls=urls)
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
    refusal = refusals.of_a_database_without_revision(
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
    config: Config, revision: str, trial: "Trial", *, report: Report, expand: bool | None
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


@dataclass(kw_only=True)
class Trial:
    """Collects the events of the run on the scratch database."""

    sizes: dict[QualifiedName, Size]
    free_disk: int | None = None
    observer: Observer | None = None
    refusal: str | None = None
    lacks_disk: bool = False
    started: list[RevisionStarted] = field(default_factory=list)
    # Each with the number of the start it came behind: several version tables have one revision.
    planned: list[tuple[int, StatementPlanned]] = field(default_factory=list)
    read: list[tuple[int, RowsRead]] = field(default_factory=list)
    disk: Counter[int] = field(default_factory=Counter)  # bytes, by the number of the start
    done: set[int] = field(default_factory=set)
    seen: tuple[Seen, ...] = ()
    questions: list[tuple[Step, About]] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        """Take note of an event."""
        match event:
            case RevisionStarted():
                self.started.append(event)
                if self.observer is not None:
                    self.observer.note_tables()
            case StatementPlanned():
                self.planned.append((len(self.started), event))
            case DiskNeeded():
                self.disk[len(self.started)] = max(self.disk[len(self.started)], event.bytes)
            case StatementsUndone(statements=undone):
                self._forget(undone)
            case RowsRead():
                self.read.append((len(self.started), event))
            case RevisionDone():
                self.done.add(len(self.started))

    def _forget(self, statements: int) -> None:
        """Forget the last statements that were executed at once: they come again, or never."""
        for place in reversed(range(len(self.planned))):
            if statements and not self.planned[place][1].is_queued:
                del self.planned[place]
                statements -= 1

    def revisions(self) -> Iterator[PlannedRevision]:
        """Give the revisions that were tried, with what was observed of each step."""
        seen = list(self.seen)
        for number, started in enumerate(self.started, start=1):
            planned = list(self._steps(number, seen))
            long = (long_under_lock(step) for event, step in planned if not event.is_allowed)
            yield PlannedRevision(
                revision=started.revision,
                description=started.description,
                steps=tuple(step for _, step in planned),
                reads_rows=tuple(dict.fromkeys(e.sql for at, e in self.read if at == number)),
                refusal=next(filter(None, long), None) if number in self.done else self.refusal,
                disk=self.disk[number],
                free_disk=self.free_disk,
                lacks_disk=self.lacks_disk and number not in self.done,
            )

    def bodies_under_lock(self) -> Iterator[tuple[str, str]]:
        """Give each revision with a DO block or function that works through a table under a lock on it, and why."""
        seen = list(self.seen)
        for number, started in enumerate(self.started, start=1):
            for event, step in tuple(self._steps(number, seen)):
                refusal = None if event.is_allowed else work_under_lock(step)
                if refusal is not None:
                    yield started.revision, refusal

    def bodies_that_hold_rows(self) -> Iterator[tuple[str, str]]:
        """Describe each revision with a DO block or function that writes rows, found by reading a whole table."""
        seen = list(self.seen)
        for number, started in enumerate(self.started, start=1):
            for event, step in tuple(self._steps(number, seen)):
                words = None if event.is_allowed else rows_held_in_any(step)
                if words is not None:
                    yield started.revision, words

    def taken_away(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Give what each revision takes away from a running release, except what its author allows."""
        for number, started in enumerate(self.started, start=1):
            events = [event for at, event in self.planned if at == number and not event.is_allowed]
            found = tuple(
                words for event in events for step in event.steps for words in breaks(step)
            )
            if found:
                yield started.revision, found

    def _steps(
        self, number: int, seen: list[Seen]
    ) -> Iterator[tuple[StatementPlanned, PlannedStep]]:
        """Give the steps with what was observed; what is not queued is one transaction, what is queued one per step."""
        events = [event for at, event in self.planned if at == number]
        is_open = False
        for event in events:
            for step in event.steps:
                is_together = is_open and not event.is_queued
                yield event, replace(self._planned(step, seen), is_together=is_together)
                is_open = not event.is_queued

    def _planned(self, step: Step, seen: list[Seen]) -> PlannedStep:
        found = [look for sql in _statements(step) for look in _taken(seen, sql)]
        locks = strongest(tuple(lock for look in found for lock in look.locks))
        scans = _each(name for look in found for name in look.scans)
        rewrites = _each(name for look in found for name in look.rewrites)
        is_seen = bool(found)
        scans = scans if is_seen else step.scans
        written = _written(step)
        touched = {*scans, *rewrites, *written}
        sizes = [self.sizes.get(name, Size(rows=0, bytes=0)) for name in touched]
        size = Size(rows=sum(s.rows for s in sizes), bytes=sum(s.bytes for s in sizes))
        blocked = {lock.relation for lock in locks if lock.mode.blocks_users}
        held = _each(name for look in found for name in look.row_writes if name not in blocked)
        return PlannedStep(
            step=step,
            row_writes=held if _is_body_step(step) else (),
            is_seen=is_seen,
            is_together=False,
            locks=locks if is_seen else step.locks,
            scans=scans,
            rewrites=rewrites,
            size=size,
            takes=(takes := _time(step, size, is_rewrite=bool(rewrites))),
            rows_per_second=_rows_per_second(step),
            writes=written,
            batches=max(1, round(takes / BATCH)) if written and size.rows else 0,
        )


def _statements(step: Step) -> tuple[str, ...]:
    """Give the statements of a step as the executor sends them."""
    match step:
        case TransactionStep():
            return step.sql
        case ValidateStep():
            return (f"ALTER TABLE {step.table} VALIDATE CONSTRAINT ",)
        case BatchStep():
            block = step.block()
            return (block,) if block is not None else ()
        case _:
            return ()


def _taken(seen: list[Seen], sql: str) -> Iterator[Seen]:
    """Take the first observed statement of this text that is left, with what its bodies did."""
    wanted = sql.strip()
    for place, look in enumerate(seen):
        text_seen = look.sql.strip().rstrip(";")
        if text_seen == wanted or (wanted.endswith("CONSTRAINT") and text_seen.startswith(wanted)):
            yield seen.pop(place)
            # What a body does is seen one by one, each time as the statement that has called it.
            while _is_body(wanted) and place < len(seen) and seen[place].sql == look.sql:
                yield seen.pop(place)
            return


def _is_body(sql: str) -> bool:
    try:
        return all(statement.kind not in DDL for statement in parse(sql))
    except UnparsableStatement:
        return False


def long_under_lock(step: PlannedStep) -> str | None:
    """Say why a run would give up on a DO block or function that was seen to work long under a lock."""
    return None if _is_small(step) else work_under_lock(step)


def rows_held(step: PlannedStep) -> str | None:
    """Say what users notice of a DO block or function that writes rows of a table in use; nothing if it is small."""
    return None if _is_small(step) else rows_held_in_any(step)


def rows_held_in_any(step: PlannedStep) -> str | None:
    """Say the same, whatever the size of the tables."""
    if not step.row_writes:
        return None
    tables = ", ".join(map(str, step.row_writes))
    return ROWS_HELD.format(tables=tables, body=step.step.describe())


def _is_body_step(step: Step) -> bool:
    return isinstance(step, TransactionStep) and all(map(_is_body, step.sql))


def _is_small(step: PlannedStep) -> bool:
    return step.size.bytes <= LARGEST_BYTES and step.size.rows <= LARGEST_ROWS


def work_under_lock(step: PlannedStep) -> str | None:
    """Say why such a DO block or function is refused, whatever the size of the table."""
    worked_on = {*step.scans, *step.rewrites}
    if not _is_body_step(step.step):
        return None
    for lock in step.locks:
        if lock.mode.blocks_users and lock.relation in worked_on:
            refusal = LongStatement(
                statement=step.step.describe(),
                relation=str(lock.relation),
                mode=lock.mode.value,
                work="reads or writes every row",
                blocks=lock.mode.blocks,
                rows=step.size.rows,
                instead="Write what it does as statements of the revision: these are executed online.",
            )
            return str(refusal)
    return None


def _each(names: Iterator[QualifiedName]) -> tuple[QualifiedName, ...]:
    return tuple(dict.fromkeys(names))


def _written(step: Step) -> tuple[QualifiedName, ...]:
    """Give the table of which a step writes all rows, batch by batch."""
    if isinstance(step, BackfillStep | CopyRowsStep | FillRowsStep):
        return (step.table,)
    return ()


def _time(step: Step, size: Size, *, is_rewrite: bool) -> timedelta:
    if (rows_per_second := _rows_per_second(step)) is not None:
        return timedelta(seconds=size.rows / rows_per_second)
    rate = REWRITE if is_rewrite else BUILD if isinstance(step, BuildIndexStep) else READ
    return timedelta(seconds=size.bytes / rate)


def _rows_per_second(step: Step) -> int | None:
    """Give the rate at which all rows are written: that of a small server, or the configured limit."""
    if not isinstance(step, BackfillStep | CopyRowsStep | FillRowsStep):
        return None
    return min(BACKFILLED_ROWS, BackfillSettings().rows_per_second or BACKFILLED_ROWS)


def _with_rows(step: PlannedStep, found: list[tuple[Step, RowsInTheWay]]) -> PlannedStep:
    return replace(step, rows_in_the_way=tuple(rows for about, rows in found if about is step.step))


def _blocked(step: PlannedStep, in_the_way: tuple[Blocker, ...]) -> PlannedStep:
    names = {lock.relation.name for lock in step.locks}
    return replace(step, blockers=tuple(b for b in in_the_way if b.relation in names))
