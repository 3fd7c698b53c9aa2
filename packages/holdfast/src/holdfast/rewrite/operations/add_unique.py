"""ADD UNIQUE: a unique index is built CONCURRENTLY; the constraint then takes it over in a moment.

https://www.postgresql.org/docs/current/sql-altertable.html (ADD table_constraint_using_index)
"""

from collections.abc import Iterator
from itertools import islice

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.hazards import Hazard, LongWork, by_its_owner, hazard
from holdfast.rewrite.index_build import build_index, index_of_constraint, joined, over_index
from holdfast.rewrite.names import candidates, free_name
from holdfast.rewrite.partitions.index import WantedIndex, index_steps
from holdfast.rewrite.rewriting import (
    Action,
    ActionOperation,
    NewObject,
    Split,
    add_constraint,
    alter_table,
    dropped_constraints,
    names_of_constraint,
    names_taken,
    transaction,
)
from holdfast.rewrite.steps import TransactionStep
from holdfast.rewrite.tree import constraint_of, copy, strings

STAND_INS = 5  # that are looked up, of each name that may be chosen

KEY_ON_PARTITIONED = LongWork(
    rows=(34,),
    work="builds an index on every partition",
    instead="Write DROP CONSTRAINT as a statement of its own before it: by itself the key is made partition by"
    " partition, beside users.",
)


def add_unique(action: Action) -> Split | None:
    """Give the steps, unless the constraint already names an index to use."""
    if action.command.subtype != pb.AT_AddConstraint:
        return None
    constraint = constraint_of(action.command)
    if constraint.contype != pb.CONSTR_UNIQUE or constraint.indexname:
        return None
    return unique(action, constraint)


def unique(action: Action, constraint: pb.Constraint) -> Split | None:
    """Give the same steps for a constraint that was written at a column."""
    if constraint.without_overlaps:
        return None
    columns = [*strings(constraint.keys), *strings(constraint.including)]
    name = constraint.conname or free_name(
        action.table.name.name, second=joined(columns), label="key", taken=names_taken(action)
    )
    dropped = dropped_constraints(action.statement)
    if action.table.is_partitioned:
        # A foreign table has no index: PostgreSQL says so before it does anything.
        is_others = action.table.partition_of_another is not None
        is_written = dropped or is_others or action.table.has_foreign_partition
        return None if is_written else on_partitions(action, constraint, name=name)
    if dropped:
        return _in_its_place(action, constraint, name=name, is_taken=name in dropped)
    index = index_of_constraint(action, constraint, name=name)
    build = build_index(index, table=action.table)
    return Split(
        after=(build, using_index(action, constraint, name=name)), chosen_names=frozenset([name])
    )


def on_partitions(action: Action, constraint: pb.Constraint, *, name: str) -> Split:
    """Give the same for a table with partitions, one after the other."""
    named = copy(constraint)
    named.conname = name
    index = index_of_constraint(action, constraint, name=name)
    wanted = WantedIndex(node=index, constraint=named)
    steps = index_steps(wanted, table=action.table, facts=action.facts)
    return Split(after=steps, chosen_names=frozenset([name]))


def _in_its_place(action: Action, constraint: pb.Constraint, *, name: str, is_taken: bool) -> Split:
    """Build the index before, under a free name: the statement drops the constraint that has the name."""
    taken = names_taken(action)
    built = free_name(name, label="new", taken=taken) if is_taken else name
    index = index_of_constraint(action, constraint, name=built)
    command = add_constraint(over_index(constraint, name=name, index=built))
    return Split(
        before=(build_index(index, table=action.table),),
        stays=(command,),
        chosen_names=frozenset([name]),
    )


def using_index(action: Action, constraint: pb.Constraint, *, name: str) -> TransactionStep:
    """Give the action by which the constraint takes over the index of its name."""
    command = add_constraint(over_index(constraint, name=name, index=name))
    return transaction(alter_table(action.table.name, command), facts=action.facts)


def hazards(action: Action) -> Iterator[Hazard]:
    """Give the hazard on a partitioned table where the key is not made partition by partition."""
    if constraint_of(action.command).contype == pb.CONSTR_UNIQUE:
        yield from hazards_of_key(action)


def hazards_of_key(action: Action) -> Iterator[Hazard]:
    """Give the hazard of a key that stays in its ALTER TABLE."""
    constraint = constraint_of(action.command)
    is_postgresqls = bool(constraint.indexname) or action.table.has_foreign_partition
    is_left = constraint.without_overlaps or is_postgresqls
    if action.table.is_partitioned and action.statement.relation.inh and not is_left:
        yield from hazard(action.table, by_its_owner(KEY_ON_PARTITIONED, table=action.table))


def names(new: NewObject) -> Iterator[str]:
    """Give the names TABLE_COLUMNS_key."""
    constraint = constraint_of(new.node)
    if constraint.contype == pb.CONSTR_UNIQUE:
        second = joined([*strings(constraint.keys), *strings(constraint.including)])
        chosen = candidates(new.table, second=second, label="key")
        yield from names_of_constraint(new, otherwise=with_stand_ins(chosen))


def with_stand_ins(names: Iterator[str]) -> Iterator[str]:
    """Add names under which an index can be built while what it replaces still has its name."""
    for name in names:
        yield from (name, *islice(candidates(name, label="new"), STAND_INS))


OPERATION = ActionOperation(
    name="add_unique",
    rows=(7, 34),
    actions=frozenset([pb.AT_AddConstraint]),
    apply=add_unique,
    names=names,
    hazards=hazards,
    looks_at_partitions=True,
)
