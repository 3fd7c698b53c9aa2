"""Actions of ALTER TABLE that read or write every row under a lock; what to write instead."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import ConstraintKind, Relation
from holdfast.rewrite.filled_column import has_volatile_default, is_serial, why_not_filled
from holdfast.rewrite.hazards import REPACK, Hazard, LongWork, hazard, hazard_of_default_partition
from holdfast.rewrite.locks import LockMode
from holdfast.rewrite.partitions.bounds import is_refused
from holdfast.rewrite.queued_changes import QueuedChange
from holdfast.rewrite.rewriting import Action, dropped_constraints
from holdfast.rewrite.tree import column_of, constraint_of, definition, strings
from holdfast.rewrite.type_change import (
    TANGLED,
    changed_table_of,
    reasons_against_copy,
    rewrites_rows,
)

VOLATILE_DEFAULT = LongWork(
    rows=(18,),
    work="rewrites every row, each with its own value,",
    instead="Add the column without its default, set the default in a second statement, and fill"
    " the rows that are there with an UPDATE.",
    lifted_by=frozenset(QueuedChange),
)
NUMBERED_COLUMN = LongWork(
    rows=(19,),
    work="rewrites every row to number it",
    instead="Add the column, create a sequence OWNED BY it, SET DEFAULT nextval(..), fill the rows"
    " that are there with an UPDATE, then SET NOT NULL.",
    lifted_by=frozenset(QueuedChange),
)
STORED_COLUMN = LongWork(
    rows=(20,),
    work="rewrites every row to compute the column",
    instead="Add a plain column, keep it current by a trigger and fill it with an UPDATE; or, on"
    " PostgreSQL 18, write VIRTUAL instead of STORED.",
)
DOMAIN_COLUMN = LongWork(
    rows=(21,),
    work="rewrites every row to check the constraint of the domain",
    instead="Give the column the domain's base type and add the domain's condition as a CHECK.",
    lifted_by=frozenset([QueuedChange.LESS]),
)
KEY_COLUMN = LongWork(
    rows=(8,),
    work="reads every row to build the index of the key",
    instead="Add the column, fill it with an UPDATE, then ADD PRIMARY KEY in a second statement.",
)
TYPE_CHANGE = LongWork(
    rows=(24,),
    work="rewrites every row and builds every index of the table anew",
    instead="It is executed by a copy of the column, but not here.",
    lifted_by=frozenset([QueuedChange.LESS]),
)
TYPE_CHANGE_UNDER_CHECK = LongWork(
    rows=(25,),
    work="reads every row for the CHECK constraints of the column",
    instead="Drop those constraints before the change and add them again after it.",
    lifted_by=frozenset([QueuedChange.LESS]),
)
TYPE_CHANGE_UNDER_INDEX = LongWork(
    rows=(25,),
    work="builds the indexes with an expression or a condition on the column anew",
    instead="Drop those indexes before the change and create them again after it.",
    lifted_by=frozenset([QueuedChange.LESS]),
)
EXCLUSION = LongWork(
    rows=(32,),
    work="reads every row to build the index of the constraint",
    instead="Create a table with the constraint and move the rows; there is no other way beside"
    " users.",
)
KEY_ON_PARTITIONED = LongWork(
    rows=(34,),
    work="builds an index on every partition",
    instead="Write DROP CONSTRAINT as a statement of its own before it: by itself the key is made partition by"
    " partition, beside users.",
    lifted_by=frozenset([QueuedChange.LESS]),
)
FOREIGN_KEY_ON_PARTITIONED = LongWork(
    rows=(33,),
    work="reads every row of every partition",
    instead="Write DROP CONSTRAINT as a statement of its own before it: by itself the foreign key is made partition by"
    " partition, beside users.",
)
ATTACH_PARTITION = LongWork(
    rows=(36,),
    work="reads every row of the new partition",
    instead="Add a CHECK equal to the bounds of the partition to the table before (for the default partition: that"
    " excludes those of all others), and the table's indexes and foreign keys: then nothing is read, and you can allow"
    " it. Other than for the default partition that is done for you, where the role may make temporary tables (GRANT"
    " TEMPORARY ON DATABASE).",
)
CONSTRAINT_ENFORCED = LongWork(
    rows=(47,),
    work="reads every row of both tables",
    instead="Drop the constraint and add it again.",
)
COMPUTED_ANEW = LongWork(
    rows=(20,),
    work="rewrites every row to compute the column",
    instead="Add a second generated column and exchange the names in a later revision.",
)

REPACKING = frozenset(
    [pb.AT_SetAccessMethod, pb.AT_SetLogged, pb.AT_SetTableSpace, pb.AT_SetUnLogged]
)


def hazards_of_action(action: Action) -> tuple[Hazard, ...]:
    """Of an action that stays in its ALTER TABLE."""
    if action.command.subtype in REPACKING:
        return tuple(hazard(action.table, REPACK))
    hazards = HAZARDS_OF_ACTION.get(action.command.subtype)
    return tuple(hazards(action)) if hazards else ()


def _of_add_column(action: Action) -> Iterator[Hazard]:
    column = column_of(action.command)
    if action.command.missing_ok and action.table.column(column.colname):
        return
    kinds = {item.constraint.contype for item in column.constraints}
    if is_serial(column) or pb.CONSTR_IDENTITY in kinds:
        yield from hazard(action.table, _with_reason(NUMBERED_COLUMN, action))
    elif _is_stored(column):
        yield from hazard(action.table, STORED_COLUMN)
    elif strings(column.type_name.names)[-1] in action.facts.constrained_domains:
        yield from hazard(action.table, DOMAIN_COLUMN)
    elif has_volatile_default(column, volatile=action.facts.volatile_functions):
        yield from hazard(action.table, _with_reason(VOLATILE_DEFAULT, action))
    elif pb.CONSTR_PRIMARY in kinds:
        yield from hazard(action.table, KEY_COLUMN)


def _with_reason(work: LongWork, action: Action) -> LongWork:
    """Say why the rows are not filled in batches here, where that is what stands in the way."""
    reason = why_not_filled(action)
    return work if reason is None else replace(work, instead=reason)


def checks_on(table: Relation, *, column: str) -> frozenset[str]:
    """The CHECK constraints that mention the column."""
    return frozenset(
        found.name
        for found in table.constraints
        if found.kind is ConstraintKind.CHECK and column in found.columns
    )


def _is_stored(column: pb.ColumnDef) -> bool:
    return any(
        item.constraint.contype == pb.CONSTR_GENERATED and item.constraint.generated_kind != "v"
        for item in column.constraints
    )


def _of_type_change(action: Action) -> Iterator[Hazard]:
    table, found = action.table, changed_table_of(action)
    conversion = found.conversion(action.command.name) if found else None
    if found is None or conversion is None:
        return
    if rewrites_rows(found):
        # None is left here where another action of the statement was the reason.
        reasons = " ".join(reasons_against_copy(action, found)) or TANGLED
        instead = f"It is executed by a copy of the column, but not here. {reasons}"
        yield from hazard(table, replace(TYPE_CHANGE, instead=instead))
        return
    if checks_on(table, column=action.command.name) - dropped_constraints(action.statement):
        yield from hazard(table, TYPE_CHANGE_UNDER_CHECK)
    if conversion.rebuilt_indexes:
        built = f"builds {', '.join(conversion.rebuilt_indexes)} anew, though no row is written,"
        yield from hazard(table, replace(TYPE_CHANGE_UNDER_INDEX, work=built))


def _of_constraint(action: Action) -> Iterator[Hazard]:
    """Those that no rewrite has taken out."""
    constraint = constraint_of(action.command)
    if constraint.contype == pb.CONSTR_EXCLUSION or constraint.without_overlaps:
        yield from hazard(action.table, EXCLUSION)
    elif action.table.is_partitioned:
        yield from _of_constraint_on_partitioned(action, constraint)


def _of_constraint_on_partitioned(action: Action, constraint: pb.Constraint) -> Iterator[Hazard]:
    is_key = constraint.contype in (pb.CONSTR_UNIQUE, pb.CONSTR_PRIMARY)
    if is_key and action.statement.relation.inh:
        yield from hazard(action.table, KEY_ON_PARTITIONED)
    elif constraint.contype == pb.CONSTR_FOREIGN and not constraint.skip_validation:
        mode = LockMode.SHARE_ROW_EXCLUSIVE
        yield from hazard(action.table, FOREIGN_KEY_ON_PARTITIONED, mode=mode)


def _of_attach_partition(action: Action) -> Iterator[Hazard]:
    """What attach_partition has left: a default partition, and where PostgreSQL has not said the bound."""
    command = definition(action.command).partition_cmd
    partition = action.facts.relation(command.name)
    if partition is not None and is_refused(action.table, partition):
        return
    yield from hazard(partition, ATTACH_PARTITION)
    if not command.bound.is_default:
        yield from hazard_of_default_partition(action.table, facts=action.facts)


def _of_alter_constraint(action: Action) -> Iterator[Hazard]:
    change = definition(action.command).atalter_constraint
    if change.alter_enforceability and change.is_enforced:
        yield from hazard(action.table, CONSTRAINT_ENFORCED)


def _of_set_expression(action: Action) -> Iterator[Hazard]:
    yield from hazard(action.table, COMPUTED_ANEW)


HAZARDS_OF_ACTION: dict[int, Callable[[Action], Iterator[Hazard]]] = {
    pb.AT_AddColumn: _of_add_column,
    pb.AT_AddConstraint: _of_constraint,
    pb.AT_AlterColumnType: _of_type_change,
    pb.AT_AlterConstraint: _of_alter_constraint,
    pb.AT_AttachPartition: _of_attach_partition,
    pb.AT_SetExpression: _of_set_expression,
}
