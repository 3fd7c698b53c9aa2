"""The steps of a column copy in order; each is one transaction, or one statement outside of one.

Rows before indexes: an UPDATE under a unique index on the copy locks rows against foreign keys of other tables. The
hand-over of foreign keys last: until then, what was made can simply be dropped.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from holdfast.rewrite.column_copy.copied import Copied, copied
from holdfast.rewrite.column_copy.dependents import (
    analyze,
    foreign_keys,
    hand_over,
    indexes,
    statistics,
)
from holdfast.rewrite.column_copy.detached import clean_detached
from holdfast.rewrite.column_copy.facts import ChangedTable
from holdfast.rewrite.column_copy.filling import (
    attributes_of_partition,
    copy_rows,
    expand,
    look_before,
    look_for_unproven,
    prove,
    strict,
    strict_of_partition,
)
from holdfast.rewrite.column_copy.index_names import after_swap
from holdfast.rewrite.column_copy.swap import swap
from holdfast.rewrite.steps import CopiedPartitionsStep, Stage, Step


def column_copy(facts: ChangedTable) -> tuple[Step, ...]:
    """Give the steps of a copy, for a table whose columns can be copied: see `refusals`."""
    table = copied(facts)
    return (*look_before(table), *_from_expand(table))


def planned_at_look(
    look: CopiedPartitionsStep, *, now: ChangedTable, behind: Sequence[Step]
) -> tuple[Step, ...]:
    """Plan again what follows a look at the partitions; `behind` is what was planned.

    `now`: the facts of the look, with partitions that are new behind those it knows.
    """
    if now == look.facts:
        return tuple(behind)
    (end,) = clean_detached(copied(look.facts))
    rest = behind[behind.index(end) + 1 :]
    known = {part.oid for part in look.facts.partitions}
    if look.ahead_of == "expand":
        now = replace(now, partitions=tuple(replace(p, is_late=False) for p in now.partitions))
    table = copied(now)
    new = (part for part in table.partitions if part.facts.oid not in known)
    prepare, go_on = STAGES[look.ahead_of]
    return (*(step for part in new for step in prepare(part)), *go_on(table), *rest)


def _from_expand(table: Copied) -> Iterator[Step]:
    yield from _look(table, ahead_of="expand")
    yield expand(table)
    yield from map(copy_rows, table.with_rows)
    yield from _from_strict(table)


def _from_strict(table: Copied) -> Iterator[Step]:
    yield from _look(table, ahead_of="strict")
    yield from strict(table)
    for each in table.with_rows:
        yield from prove(each)
    for each in table.with_partitions:
        yield from statistics(each)
    for each in table.with_rows:
        yield from indexes(each)
    yield from foreign_keys(table)
    yield analyze(table)
    yield from hand_over(table)
    yield from _from_swap(table)


def _from_swap(table: Copied) -> Iterator[Step]:
    yield from _look(table, ahead_of="swap")
    yield swap(table)
    yield from after_swap(table)
    yield from clean_detached(table)


def _look(table: Copied, *, ahead_of: Stage) -> Iterator[Step]:
    if table.facts.is_partitioned:
        yield CopiedPartitionsStep(table=table.table, facts=table.facts, ahead_of=ahead_of)


def _filled(part: Copied) -> Iterator[Step]:
    """Give the steps that the copies need on a partition created or attached since they were added."""
    yield from attributes_of_partition(part)
    for each in part.with_rows:
        yield from look_for_unproven(each)
        yield copy_rows(each)


def _made_ready(part: Copied) -> Iterator[Step]:
    """Give the steps that the copies need right before they take the place of the columns."""
    yield from _filled(part)
    yield from strict_of_partition(part)
    yield from statistics(part)
    for each in part.with_rows:
        yield from prove(each)
        yield from indexes(each)


# For each step before which the partitions are looked at: what a new partition needs, and what follows.
STAGES: dict[Stage, tuple[Callable[[Copied], Iterator[Step]], Callable[[Copied], Iterator[Step]]]]
STAGES = {
    "expand": (look_for_unproven, _from_expand),
    "strict": (_filled, _from_strict),
    "swap": (_made_ready, _from_swap),
}
