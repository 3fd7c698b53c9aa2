"""The steps of a column copy, in their order; each is one transaction, or one statement outside of one.

Rows before indexes: an UPDATE under a unique index on the copy locks rows against foreign keys of other tables. The
hand-over of foreign keys last: until then, what was made can simply be dropped.
"""

from holdfast.rewrite.column_copy.copied import copied
from holdfast.rewrite.column_copy.dependents import (
    analyze,
    foreign_keys,
    hand_over,
    indexes,
    statistics,
)
from holdfast.rewrite.column_copy.facts import ChangedTable
from holdfast.rewrite.column_copy.filling import copy_rows, expand, look_before, prove, strict
from holdfast.rewrite.column_copy.swap import swap
from holdfast.rewrite.steps import Step


def column_copy(facts: ChangedTable) -> tuple[Step, ...]:
    """The steps of a copy, for a table whose columns can be copied: see `refusals`."""
    table = copied(facts)
    return (
        *look_before(table),
        expand(table),
        copy_rows(table),
        *strict(table),
        *prove(table),
        *statistics(table),
        *indexes(table),
        *foreign_keys(table),
        analyze(table),
        *hand_over(table),
        swap(table),
    )
