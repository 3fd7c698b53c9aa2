"""A unit: the statements of a queue that are executed as one, so that nobody sees one without the others.

An entry is what waits: one statement, with what was known of its relations when it was sent.

Counted are, in the order in which they happen, the statements that the revision's function itself executes under locks,
and the steps of each unit: so a step has one number, in `plan`, in `run`, in `status`, and where a run goes on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.rewrite.facts import Facts
from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.statement import Statement

SETTING = "holdfast.steps"  # with which the journal keeps, beside each unit, what is counted here


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueEntry:
    """A statement that waits, and what was known when it was sent; nothing where nobody had to ask."""

    statement: Statement
    facts: Facts | None = None
    position: int = 0  # among those that wait, as the function has sent them

    @property
    def tables(self) -> frozenset[QualifiedName]:
        """The relations that it names, and the tables of the indexes that it names."""
        return tables_of(self.facts) if self.facts is not None else frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """Entries that are executed as one: what may be in a transaction is in one and the same.

    What lasts of them (a build, a validation) runs before or behind that transaction; see `unit_steps`.
    """

    entries: tuple[QueueEntry, ...]
    is_whole: bool = False  # also the executions of one statement with several parameters
    joins_open: bool = False  # it completes what the open transaction has begun


def tables_of(facts: Facts) -> frozenset[QualifiedName]:
    """The relations that facts are about."""
    return frozenset(relation.name for relation in facts.relations.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class CountedUnit:
    """The steps of one unit, and what the function has executed since the unit before it."""

    before: int = 0  # statements of the function
    steps: int = 1  # that it has, or is expected to have until its turn comes
    done: int = 0
    is_guess: bool = True  # nobody has counted its steps yet

    @property
    def is_done(self) -> bool:
        """Whether none of its steps is left."""
        return self.done >= self.steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What is counted ahead of a unit and behind it, in the same revision."""

    ahead: int = 0
    behind: int = 0
    may_be_more: bool = False  # the function goes on behind these, and may do more


ALONE = Around()  # of a unit that is in no queue


def around(units: Sequence[CountedUnit], place: int, *, may_be_more: bool = False) -> Around:
    """What is ahead of the unit at a place of the queue, and what is behind it."""
    return Around(
        ahead=total(units[:place]) + units[place].before,
        behind=total(units[place + 1 :]),
        may_be_more=may_be_more,
    )


def total(units: Sequence[CountedUnit]) -> int:
    """How many steps a queue has, with what the function has executed in front of each unit."""
    return sum(unit.before + unit.steps for unit in units)


def next_step(units: Sequence[CountedUnit]) -> int:
    """The number of the first step that is not done; one more than there are where all are."""
    for place, unit in enumerate(units):
        if not unit.is_done:
            return around(units, place).ahead + unit.done + 1
    return total(units) + 1


def in_words(number: int, steps: int, *, may_be_more: bool = False) -> str:
    """Say which step it is of how many: step 4 of 9."""
    return f"step {number} of {steps}{' or more' if may_be_more else ''}"


def to_setting(unit: CountedUnit) -> str:
    """What the journal keeps of a unit that has not begun."""
    return f"{unit.before} {unit.steps}"


def from_setting(setting: str | None, *, steps: int | None, done: int) -> CountedUnit:
    """The unit as it is counted now; an older version of holdfast has kept no count."""
    before, expected = map(int, setting.split()) if setting else (0, 1)
    return CountedUnit(
        before=before,
        steps=expected if steps is None else steps,
        done=done,
        is_guess=setting is None and steps is None,
    )
