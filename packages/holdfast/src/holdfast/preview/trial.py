"""Observes the pending revisions on a scratch database: the steps of each, their locks, scans, rewrites and time."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

from holdfast.engine.settings import BackfillSettings
from holdfast.errors.statement import LongStatement, UnparsableStatement
from holdfast.execute.backfill_pace import BATCH
from holdfast.execute.progress import (
    DiskNeeded,
    Event,
    RevisionDone,
    RevisionStarted,
    RowsRead,
    StatementPlanned,
    StatementsUndone,
)
from holdfast.observe.blockers import Blocker
from holdfast.preview.rows_in_the_way import About, RowsInTheWay
from holdfast.rewrite.locks import Lock, strongest
from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.side_by_side.breaks import breaks
from holdfast.rewrite.single_transaction import LARGEST_BYTES, LARGEST_ROWS
from holdfast.rewrite.statement import DDL, parse
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
from holdfast.scratch.observer import Observer, Seen

# Rates of a small server in bytes or rows a second, rough on purpose: a plan tells seconds from hours.
READ = 200_000_000
REWRITE = 40_000_000
BUILD = 40_000_000
BACKFILLED_ROWS = 50_000
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


@dataclass(kw_only=True)
class Trial:
    """Collects the events of the run on the scratch database."""

    sizes: dict[QualifiedName, Size]
    free_disk: int | None = None
    observer: Observer | None = None
    refusal: str | None = None
    lacks_disk: bool = False
    started: list[RevisionStarted] = field(default_factory=list)
    # Each with the number of the RevisionStarted before it: several version tables may have one revision.
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
            # Each action of a body is observed separately, under the text of the statement that has called it.
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
