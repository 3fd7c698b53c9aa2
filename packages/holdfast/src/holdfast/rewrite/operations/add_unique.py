"""ADD UNIQUE: a unique index built CONCURRENTLY, which the constraint then takes over in a moment.

https://www.postgresql.org/docs/current/sql-altertable.html (ADD table_constraint_using_index)
"""

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.index_build import build_index, index_of_constraint
from holdfast.rewrite.index_names import joined
from holdfast.rewrite.names import free_name
from holdfast.rewrite.rewriting import (
    Action,
    ActionRewrite,
    Split,
    add_constraint,
    alter_table,
    names_taken,
    transaction,
)
from holdfast.rewrite.steps import TransactionStep
from holdfast.rewrite.tree import constraint_of, copy, strings


def add_unique(action: Action) -> Split | None:
    """Unless it already names an index to use."""
    if action.command.subtype != pb.AT_AddConstraint:
        return None
    constraint = constraint_of(action.command)
    if constraint.contype != pb.CONSTR_UNIQUE or constraint.indexname:
        return None
    return unique(action, constraint)


def unique(action: Action, constraint: pb.Constraint) -> Split | None:
    """The same for a constraint that stood at a column."""
    if action.table.is_partitioned or constraint.without_overlaps:
        return None
    columns = [*strings(constraint.keys), *strings(constraint.including)]
    name = constraint.conname or free_name(
        action.table.name.name, second=joined(columns), label="key", taken=names_taken(action)
    )
    index = index_of_constraint(action, constraint, name=name)
    build = build_index(index, table=action.table)
    return Split(
        after=(build, using_index(action, constraint, name=name)), chosen_names=frozenset([name])
    )


def using_index(action: Action, constraint: pb.Constraint, *, name: str) -> TransactionStep:
    """The constraint takes over the index of its name."""
    taking_over = copy(constraint)
    taking_over.conname = taking_over.indexname = name
    taking_over.nulls_not_distinct, taking_over.indexspace = False, ""
    for field in ("keys", "including", "options"):
        taking_over.ClearField(field)
    return transaction(
        alter_table(action.table.name, add_constraint(taking_over)), facts=action.facts
    )


REWRITE = ActionRewrite(name="add_unique", rows=(7,), apply=add_unique)
