"""Steps as data: what the executor does next, which locks it takes, and how it is undone.

A plan is a tuple of steps. Every step survives a journal: `to_json()` and `from_json()`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from holdfast.rewrite.column_copy.facts import ChangedTable
from holdfast.rewrite.literals import literal
from holdfast.rewrite.locks import Lock, locking
from holdfast.rewrite.names import QualifiedName, quote
from holdfast.rewrite.statement import shortened
from holdfast.rewrite.waiting import Waiting

# The phases of a column copy: the copies are added, refuse bad values, take the place of the columns.
Stage = Literal["expand", "strict", "swap"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionOf:
    """A partition below a table; a step for it is left out once it is no partition any more."""

    partition: QualifiedName
    table: QualifiedName


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionStep:
    """Short statements in one transaction, under lock patience, journaled in that transaction.

    `captures_constraint_on`: the transaction creates one NOT VALID constraint on this table, and
    PostgreSQL chooses its name; the executor finds it by its xmin and keeps it for the next step.
    """

    kind: Literal["transaction"] = "transaction"
    sql: tuple[str, ...]
    locks: tuple[Lock, ...] = ()
    captures_constraint_on: QualifiedName | None = None
    scans: tuple[QualifiedName, ...] = ()
    undo: tuple[str, ...] = ()
    waits: tuple[Waiting, ...] = ()  # see BatchStep
    ends: tuple[int, ...] = ()
    only_for: PartitionOf | None = None

    def describe(self) -> str:
        """Describe the step for a line of progress."""
        return "; ".join(shortened(sql) for sql in self.sql)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidateStep:
    """VALIDATE CONSTRAINT: reads the table beside its users; no lock_timeout, watched.

    `constraint` is None where the step before has captured it.
    """

    kind: Literal["validate"] = "validate"
    table: QualifiedName
    constraint: str | None = None
    locks: tuple[Lock, ...] = ()
    scans: tuple[QualifiedName, ...] = ()
    undo: tuple[str, ...] = ()
    only_for: PartitionOf | None = None

    def describe(self) -> str:
        """Describe the step for a line of progress."""
        constraint = (
            f"constraint {quote(self.constraint)}" if self.constraint else "the new constraint"
        )
        return f"validate {constraint} of {self.table}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildIndexStep:
    """CREATE INDEX CONCURRENTLY, outside a transaction: look for the index, clean up or adopt it, build.

    `keys`, `where` (SQL) and `nulls_not_distinct` are for the report of duplicate keys.
    """

    kind: Literal["build index"] = "build index"
    schema: str
    index: str
    table: QualifiedName
    sql: str
    unique: bool = False
    keys: tuple[str, ...] = ()
    where: str | None = None
    nulls_not_distinct: bool = False
    locks: tuple[Lock, ...] = ()
    scans: tuple[QualifiedName, ...] = ()
    undo: tuple[str, ...] = ()
    only_for: PartitionOf | None = None

    def describe(self) -> str:
        """Describe the step for a line of progress."""
        unique = "unique " if self.unique else ""
        return f"build {unique}index {quote(self.index)} on {self.table}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DropIndexStep:
    """DROP INDEX CONCURRENTLY, outside a transaction; done when the index is gone."""

    kind: Literal["drop index"] = "drop index"
    schema: str
    index: str
    table: QualifiedName
    sql: str
    locks: tuple[Lock, ...] = ()
    scans: tuple[QualifiedName, ...] = ()
    undo: tuple[str, ...] = ()

    def describe(self) -> str:
        """Describe the step for a line of progress."""
        return f"drop index {quote(self.index)} of {self.table}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillStep:
    """A write to all rows of a table, in batches along a key, each in a transaction of its own.

    The statements take the values of the key as text, in its order: `first` (no parameter but the
    size of a batch) and `next` (the key reached, then the size) give the last key of a batch, or no
    row at the end; `batch` (key reached, last key) writes it, `first_batch` (last key) the first.
    Parameters are written $1, $2, ..
    """

    kind: Literal["backfill"] = "backfill"
    table: QualifiedName
    key: tuple[str, ...]
    sql: str
    first: str
    next: str
    first_batch: str
    batch: str
    locks: tuple[Lock, ...] = ()
    scans: tuple[QualifiedName, ...] = ()
    undo: tuple[str, ...] = ()

    def describe(self) -> str:
        """Describe the step for a line of progress."""
        return shortened(self.sql)


@dataclass(frozen=True, slots=True, kw_only=True)
class AutocommitStep:
    """Any other statement that PostgreSQL refuses inside a transaction, or that needs none and may take long."""

    kind: Literal["autocommit"] = "autocommit"
    sql: str
    locks: tuple[Lock, ...] = ()
    scans: tuple[QualifiedName, ...] = ()
    undo: tuple[str, ...] = ()

    def describe(self) -> str:
        """Describe the step for a line of progress."""
        return shortened(self.sql)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionsStep:
    """A look at a table's partitions: what one of them still lacks of `sql` is planned in place of this step.

    Others create, attach and drop partitions while the steps run. The last of such steps finds nothing to do.
    """

    kind: Literal["partitions"] = "partitions"
    table: QualifiedName
    sql: str
    locks: tuple[Lock, ...] = ()
    scans: tuple[QualifiedName, ...] = ()
    undo: tuple[str, ...] = ()

    def describe(self) -> str:
        """Describe the step for a line of progress."""
        return f"look at the partitions of {self.table}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CopiedPartitionsStep:
    """A look at the partitions of a table whose columns are copied, before a step that must know all of them.

    `facts` are of those that the rest is planned for; where there are others now, it is planned anew.
    """

    kind: Literal["copied partitions"] = "copied partitions"
    table: QualifiedName
    facts: ChangedTable
    ahead_of: Stage
    locks: tuple[Lock, ...] = ()
    scans: tuple[QualifiedName, ...] = ()
    undo: tuple[str, ...] = ()

    def describe(self) -> str:
        """Describe the step for a line of progress."""
        return f"look for partitions of {self.table} that are new or gone"


@dataclass(frozen=True, slots=True, kw_only=True)
class DetachStep:
    """DETACH PARTITION CONCURRENTLY, outside a transaction: if it was killed, it is finalized in a moment."""

    kind: Literal["detach"] = "detach"
    table: QualifiedName
    partition: QualifiedName
    sql: str
    finalize: str
    locks: tuple[Lock, ...] = ()
    scans: tuple[QualifiedName, ...] = ()
    undo: tuple[str, ...] = ()

    def describe(self) -> str:
        """Describe the step for a line of progress."""
        return f"detach {self.partition} from {self.table}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReindexStep:
    """REINDEX CONCURRENTLY, outside a transaction; invalid indexes left by a killed try are dropped."""

    kind: Literal["reindex"] = "reindex"
    tables: tuple[QualifiedName, ...]
    sql: str
    locks: tuple[Lock, ...] = ()
    scans: tuple[QualifiedName, ...] = ()
    undo: tuple[str, ...] = ()

    def describe(self) -> str:
        """Describe the step for a line of progress."""
        return shortened(self.sql)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStep:
    """Statements sent at once, as the body of one DO, under locks that are all taken first.

    While a lock blocks users, round trips are most of the time that it is held.
    """

    kind: Literal["batch"] = "batch"
    what: str
    sql: tuple[str, ...]
    locks: tuple[Lock, ...] = ()
    scans: tuple[QualifiedName, ...] = ()
    undo: tuple[str, ...] = ()
    only_for: PartitionOf | None = None
    notes: tuple[str, ...] = ()  # for whoever reviews the plan
    # Recorded, or forgotten by number, in the same transaction: what waits for `holdfast finish`.
    waits: tuple[Waiting, ...] = ()
    ends: tuple[int, ...] = ()

    def describe(self) -> str:
        """Describe the step for a line of progress."""
        return self.what

    def block(self, *, locks: tuple[Lock, ...] | None = None) -> str | None:
        """Write the statement to send, with its locks: all, or those that the role may take; None: nothing."""
        body = (*locking(self.locks if locks is None else locks), *self.sql)
        return do_block(body) if body else None


@dataclass(frozen=True, slots=True, kw_only=True)
class LookStep:
    """A search of a table for rows in the way; nothing is written.

    `quick` fails, or gives a row, when there are some; then `rows` gives each with its key and the
    reason, with the help of what `prepare` creates: both are rolled back. `settings` hold for all.
    """

    kind: Literal["look"] = "look"
    table: QualifiedName
    what: str  # rows that have no value of type integer in c
    one: str = ""  # "row that has ..", where it is one; a journal of an older version has none
    quick: str
    rows: str
    prepare: tuple[str, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    locks: tuple[Lock, ...] = ()
    scans: tuple[QualifiedName, ...] = ()
    undo: tuple[str, ...] = ()
    only_for: PartitionOf | None = None

    def describe(self) -> str:
        """Describe the step for a line of progress."""
        return f"look for {self.what} in {self.table}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FillRowsStep:
    """An UPDATE of the rows that have no value yet, in batches of blocks: for a table without a key.

    `sql` ends in its condition, by which a row that is done is left out.
    """

    kind: Literal["fill rows"] = "fill rows"
    table: QualifiedName
    sql: str
    settings: tuple[tuple[str, str], ...] = ()
    locks: tuple[Lock, ...] = ()
    scans: tuple[QualifiedName, ...] = ()
    undo: tuple[str, ...] = ()

    def describe(self) -> str:
        """Describe the step for a line of progress."""
        return shortened(self.sql)


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyRowsStep:
    """An UPDATE of all rows of a table in batches of blocks, which need no key.

    `sql` ends in its condition, and so does `where_it_fails`, which takes its place from the first value on that it
    cannot write. The blocks reached count as long as the rows stay in the same file.
    """

    kind: Literal["copy rows"] = "copy rows"
    table: QualifiedName
    sql: str
    settings: tuple[tuple[str, str], ...] = ()
    locks: tuple[Lock, ...] = ()
    scans: tuple[QualifiedName, ...] = ()
    undo: tuple[str, ...] = ()
    only_for: PartitionOf | None = None
    notes: tuple[str, ...] = ()  # for whoever reviews the plan
    new_types: tuple[
        tuple[str, str], ...
    ] = ()  # each column that changes its type, with the new one
    where_it_fails: str = ""

    def describe(self) -> str:
        """Describe the step for a line of progress."""
        return shortened(self.sql)


Step = Annotated[
    TransactionStep
    | ValidateStep
    | BuildIndexStep
    | DropIndexStep
    | BackfillStep
    | AutocommitStep
    | DetachStep
    | ReindexStep
    | PartitionsStep
    | CopiedPartitionsStep
    | FillRowsStep
    | BatchStep
    | LookStep
    | CopyRowsStep,
    Field(discriminator="kind"),
]


def do_block(statements: tuple[str, ...]) -> str:
    """Write one DO with these statements of plpgsql as its body."""
    body = "".join(f"{statement};\n" for statement in statements)
    return "DO " + literal(f"BEGIN\n{body}END")


def to_json(steps: tuple[Step, ...]) -> str:
    """Write steps as the text that the journal keeps."""
    return _adapter().dump_json(steps).decode()


def from_json(text: str) -> tuple[Step, ...]:
    """Read steps from the text that the journal keeps."""
    return _adapter().validate_json(text)


def as_text(steps: tuple[Step, ...]) -> str:
    """Write the plan for a reader: each step, its locks and what they block, what it reads in full."""
    return "\n".join(_lines_of(step, number=number) for number, step in enumerate(steps, start=1))


def _lines_of(step: Step, *, number: int) -> str:
    lines = [f"{number}. {step.kind}: {text}" for text in _texts(step)[:1]]
    lines += [f"   and: {text}" for text in _texts(step)[1:]]
    lines += [f"   locks: {lock}" for lock in step.locks]
    lines += [f"   reads: {table} in full" for table in step.scans]
    lines += [f"   waits: {waiting}, for holdfast finish" for waiting in waits_of(step)]
    lines += [f"   note: {note}" for note in notes_of(step)]
    return "\n".join(lines)


def notes_of(step: Step) -> tuple[str, ...]:
    """Give the step's notes for a reviewer."""
    own = step.notes if isinstance(step, BatchStep | CopyRowsStep) else ()
    return (*own, *(note for waiting in waits_of(step) for note in waiting.notes))


def waits_of(step: Step) -> tuple[Waiting, ...]:
    """Give what waits for `holdfast finish` once the step is done."""
    return step.waits if isinstance(step, BatchStep | TransactionStep) else ()


def _texts(step: Step) -> tuple[str, ...]:
    if isinstance(step, ValidateStep):
        return (f"{step.constraint or 'the new constraint'} of {step.table}",)
    if isinstance(step, LookStep):
        return (f"{step.what} in {step.table}",)
    if isinstance(step, BatchStep) and not step.sql:
        return (step.what,)
    if isinstance(step, CopiedPartitionsStep):
        return (f"those of {step.table} that are new, or gone",)
    if isinstance(step, PartitionsStep):
        return (f"what is still lacking on one of {step.table}",)
    statements = step.sql if isinstance(step, TransactionStep | BatchStep) else (step.sql,)
    return tuple(" ".join(statement.split()) for statement in statements)


@cache
def _adapter() -> TypeAdapter[tuple[Step, ...]]:
    return TypeAdapter(tuple[Step, ...])


# Counted are, in the order in which they happen, the statements that the revision's function itself executes under
# locks, and the steps of each unit: a step has one number, in `plan`, in `run`, in `status`, and where a run goes on.

GUESSED = " or more"
SETTING = "holdfast.steps"  # with which the journal keeps, beside each unit, what is counted here


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedUnit:
    """The steps of one unit, and what the function has executed since the unit before it."""

    before: int = 0  # statements of the function
    steps: int = 1  # that it has, or is expected to have until its turn comes
    done: int = 0
    is_guess: bool = (
        True  # nobody has counted its steps yet, or only before what changes their number
    )

    @property
    def is_done(self) -> bool:
        """Whether all its steps are done."""
        return self.done >= self.steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """The counts before and after a unit, in the same revision."""

    ahead: int = 0
    behind: int = 0
    may_be_more: bool = (
        False  # the function goes on behind these, or the number behind them is a guess
    )


ALONE = Around()  # of a unit that is in no queue


def around(units: Sequence[CountedUnit], place: int, *, may_be_more: bool = False) -> Around:
    """Count what is before and after the unit at a place of the queue."""
    return Around(
        ahead=total(units[:place]) + units[place].before,
        behind=total(units[place + 1 :]),
        may_be_more=may_be_more or may_grow(units[place + 1 :]),
    )


def may_grow(units: Sequence[CountedUnit]) -> bool:
    """Whether an unfinished unit may have more steps than are counted, once its turn has come."""
    return any(unit.is_guess and not unit.is_done for unit in units)


def total(units: Sequence[CountedUnit]) -> int:
    """Count the steps of a queue, with what the function has executed before each unit."""
    return sum(unit.before + unit.steps for unit in units)


def next_step(units: Sequence[CountedUnit]) -> int:
    """Give the number of the first step that is not done; one more than there are if all are."""
    for place, unit in enumerate(units):
        if not unit.is_done:
            return around(units, place).ahead + unit.done + 1
    return total(units) + 1


def in_words(number: int, steps: int, *, may_be_more: bool = False) -> str:
    """Say which step it is of how many: step 4 of 9."""
    return f"step {number} of {steps}{' or more' if may_be_more else ''}"


def to_setting(unit: CountedUnit) -> str:
    """Write what the journal keeps of a unit that has not begun."""
    return f"{unit.before} {unit.steps}{GUESSED if unit.is_guess else ''}"


def from_setting(setting: str | None, *, steps: int | None, done: int) -> CountedUnit:
    """Read the unit's count; an older version of holdfast has kept none."""
    counted = (setting or "0 1").removesuffix(GUESSED)
    before, expected = map(int, counted.split())
    is_guess = setting is None or setting.endswith(GUESSED)
    return CountedUnit(
        before=before,
        steps=expected if steps is None else steps,
        done=done,
        is_guess=is_guess and steps is None,
    )
