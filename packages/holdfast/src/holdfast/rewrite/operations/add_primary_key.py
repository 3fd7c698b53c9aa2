"""ADD PRIMARY KEY: NOT NULL first, then a unique index built CONCURRENTLY, then the key.

Over a column that may be NULL the constraint would read the whole table under its lock.
"""

from collections.abc import Iterator
from dataclasses import replace

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import ConstraintKind
from holdfast.rewrite.hazards import Hazard
from holdfast.rewrite.index_build import build_index, index_of_constraint
from holdfast.rewrite.names import candidates, free_name
from holdfast.rewrite.not_null import not_null_steps
from holdfast.rewrite.operations.add_unique import (
    hazards_of_key,
    on_partitions,
    using_index,
    with_stand_ins,
)
from holdfast.rewrite.rewriting import (
    Action,
    ActionOperation,
    NewObject,
    Split,
    alter_table,
    dropped_constraints,
    names_of_constraint,
    names_taken,
    transaction,
)
from holdfast.rewrite.steps import Step
from holdfast.rewrite.tree import constraint_of, strings


def add_primary_key(action: Action) -> Split | None:
    """Give the steps, with the key's columns or with an index that already exists."""
    if action.command.subtype != pb.AT_AddConstraint:
        return None
    constraint = constraint_of(action.command)
    if constraint.contype != pb.CONSTR_PRIMARY or constraint.without_overlaps:
        return None
    is_partitioned = action.table.is_partitioned
    if action.table.has_foreign_partition or action.table.partition_of_another is not None:
        return None  # PostgreSQL says that there is none on a foreign table
    if _has_another(action) or (is_partitioned and dropped_constraints(action.statement)):
        return None
    if constraint.indexname:
        return _with_index(action, constraint)
    name = constraint.conname or free_name(
        action.table.name.name, label="pkey", taken=names_taken(action)
    )
    if is_partitioned:
        parts = on_partitions(action, constraint, name=name)
        not_null = _not_null(action, columns=strings(constraint.keys))
        return replace(parts, after=(*not_null, *parts.after))
    index = index_of_constraint(action, constraint, name=name)
    steps: tuple[Step, ...] = (
        *_not_null(action, columns=strings(constraint.keys)),
        build_index(index, table=action.table),
        using_index(action, constraint, name=name),
    )
    return Split(after=steps, chosen_names=frozenset([name]))


def _with_index(action: Action, constraint: pb.Constraint) -> Split | None:
    written = (action.statement.relation.schemaname, constraint.indexname)
    index = action.facts.index_named(written)
    steps = _not_null(action, columns=index.columns) if index else ()
    if not steps:
        return None
    add = transaction(alter_table(action.table.name, action.command), facts=action.facts)
    return Split(after=(*steps, add))


def _has_another(action: Action) -> bool:
    """Whether the table has a primary key already: PostgreSQL's own error is best then."""
    dropped = dropped_constraints(action.statement)
    return any(
        found.kind is ConstraintKind.PRIMARY_KEY and found.name not in dropped
        for found in action.table.constraints
    )


def _not_null(action: Action, *, columns: tuple[str, ...]) -> tuple[Step, ...]:
    return tuple(step for column in columns for step in not_null_steps(action, column=column) or ())


def hazards(action: Action) -> Iterator[Hazard]:
    """Give the same hazards as for a unique constraint."""
    if constraint_of(action.command).contype == pb.CONSTR_PRIMARY:
        yield from hazards_of_key(action)


def names(new: NewObject) -> Iterator[str]:
    """Give TABLE_pkey, and the names of the proof that a column is not NULL."""
    constraint = constraint_of(new.node)
    if constraint.contype == pb.CONSTR_PRIMARY:
        chosen = candidates(new.table, label="pkey")
        yield from names_of_constraint(new, otherwise=with_stand_ins(chosen))
        for column in strings(constraint.keys):
            yield from candidates(new.table, second=column, label="not_null")


OPERATION = ActionOperation(
    name="add_primary_key",
    rows=(8, 34),
    actions=frozenset([pb.AT_AddConstraint]),
    apply=add_primary_key,
    names=names,
    hazards=hazards,
    looks_at_partitions=True,
)
