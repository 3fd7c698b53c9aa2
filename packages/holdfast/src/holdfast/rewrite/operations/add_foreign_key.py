"""ADD FOREIGN KEY: added NOT VALID, then validated beside the users of both tables.

https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES
"""

from collections.abc import Iterator

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.hazards import Hazard, LongWork, by_its_owner, hazard
from holdfast.rewrite.index_build import joined
from holdfast.rewrite.locks import LockMode
from holdfast.rewrite.names import candidates
from holdfast.rewrite.partitions.foreign_key import (
    NOT_VALID_ON_PARTITIONED,
    foreign_key_on_partitions,
    name_of_foreign_key,
)
from holdfast.rewrite.rewriting import (
    Action,
    ActionOperation,
    NewObject,
    Split,
    add_constraint,
    added_not_valid,
    alter_table,
    dropped_constraints,
    names_of_constraint,
    names_taken,
    transaction,
)
from holdfast.rewrite.tree import constraint_of, copy, qualify, strings

FOREIGN_KEY_ON_PARTITIONED = LongWork(
    rows=(33,),
    work="reads every row of every partition",
    instead="Write DROP CONSTRAINT as a statement of its own before it: by itself the foreign key is made partition by"
    " partition, beside users.",
)


def add_foreign_key(action: Action) -> Split | None:
    """Make each foreign key a unit of its own, as it locks two tables."""
    if action.command.subtype != pb.AT_AddConstraint:
        return None
    constraint = constraint_of(action.command)
    if constraint.contype != pb.CONSTR_FOREIGN:
        return None
    return foreign_key(action, constraint)


def foreign_key(action: Action, constraint: pb.Constraint) -> Split | None:
    """Give the same steps for a constraint that was written at a column."""
    referenced = action.facts.relation(constraint.pktable)
    if action.table.is_new and (referenced is None or referenced.is_new):
        return None
    key = copy(constraint)
    if referenced is not None:
        qualify(key.pktable, referenced.name)
    if action.table.is_partitioned and action.facts.server_major < NOT_VALID_ON_PARTITIONED:
        return _on_partitions(action, key)
    if not constraint.skip_validation and constraint.is_enforced:
        return added_not_valid(action, key)
    if action.is_alone:
        return None
    step = transaction(alter_table(action.table.name, add_constraint(key)), facts=action.facts)
    return Split(after=(step,))


def _on_partitions(action: Action, key: pb.Constraint) -> Split | None:
    """Handle one partition after the other; None if PostgreSQL refuses it, or another constraint makes room."""
    is_others = action.table.partition_of_another is not None
    is_refused = key.skip_validation or is_others or action.table.has_foreign_partition
    if is_refused or dropped_constraints(action.statement):
        return None
    table = action.table
    key.conname = name_of_foreign_key(key, table=table.name, taken=names_taken(action))
    steps = foreign_key_on_partitions(key, table=table, facts=action.facts)
    return Split(after=steps, chosen_names=frozenset([key.conname]))


def hazards(action: Action) -> Iterator[Hazard]:
    """Give the hazard on a partitioned table where the key is not made partition by partition."""
    constraint = constraint_of(action.command)
    is_read = constraint.contype == pb.CONSTR_FOREIGN and not constraint.skip_validation
    table = action.table
    if table.is_partitioned and is_read and not table.has_foreign_partition:
        mode = LockMode.SHARE_ROW_EXCLUSIVE
        yield from hazard(table, by_its_owner(FOREIGN_KEY_ON_PARTITIONED, table=table), mode=mode)


def names(new: NewObject) -> Iterator[str]:
    """Give the names TABLE_COLUMNS_fkey."""
    constraint = constraint_of(new.node)
    if constraint.contype == pb.CONSTR_FOREIGN:
        second = joined(strings(constraint.fk_attrs))
        chosen = candidates(new.table, second=second, label="fkey")
        yield from names_of_constraint(new, otherwise=chosen)


OPERATION = ActionOperation(
    name="add_foreign_key",
    rows=(11, 33),
    actions=frozenset([pb.AT_AddConstraint]),
    apply=add_foreign_key,
    names=names,
    hazards=hazards,
    looks_at_partitions=True,
)
