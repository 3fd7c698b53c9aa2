"""ADD COLUMN: the column first, in a moment; then its values in batches, if each row has another; then its constraints.

An index on a foreign key is not ours to add.
"""

from collections.abc import Iterator
from dataclasses import replace

from postgast import pg_query_pb2 as pb

from holdfast.errors.statement import ColumnWithoutValues
from holdfast.rewrite.facts import Facts
from holdfast.rewrite.filled_column import (
    filled_column,
    has_volatile_default,
    is_serial,
    why_not_filled,
)
from holdfast.rewrite.hazards import Hazard, LongWork, hazard
from holdfast.rewrite.inline_constraints import take_out
from holdfast.rewrite.names import candidates
from holdfast.rewrite.operations.add_foreign_key import foreign_key
from holdfast.rewrite.operations.add_unique import unique
from holdfast.rewrite.queue.queued_changes import QueuedChange
from holdfast.rewrite.rewriting import (
    Action,
    ActionOperation,
    NewObject,
    Split,
    added_not_valid,
    names_of_check,
)
from holdfast.rewrite.statement import Statement, shortened
from holdfast.rewrite.tree import column_of, copy, strings

WITH_VALUES = frozenset([pb.CONSTR_DEFAULT, pb.CONSTR_GENERATED, pb.CONSTR_IDENTITY])
NOT_NULL = frozenset([pb.CONSTR_NOTNULL, pb.CONSTR_PRIMARY])
CONSTRAINTS = (pb.CONSTR_CHECK, pb.CONSTR_FOREIGN, pb.CONSTR_UNIQUE)

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
    instead="Add a plain column, keep it current by a trigger and fill it with an UPDATE.",
)
VIRTUAL = 18  # the first major version with generated columns that are computed when they are read
VIRTUAL_INSTEAD = replace(
    STORED_COLUMN,
    instead="Write VIRTUAL instead of STORED: that is over in a moment, and computed when it is read; no index can be"
    f" on it. Or: {STORED_COLUMN.instead}",
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


def add_column(action: Action) -> Split | None:
    """Take REFERENCES, UNIQUE and CHECK out of the column, and what gives rows their values."""
    if action.command.subtype != pb.AT_AddColumn:
        return None
    column = column_of(action.command)
    if action.command.missing_ok and action.table.column(column.colname):
        return None
    rest, constraints = take_out(column, wanted=lambda found: found.contype in CONSTRAINTS)
    splits = [_split(action, constraint) for constraint in constraints]
    found = [split for split in splits if split is not None]
    if len(found) < len(splits):
        return None
    stays = copy(action.command)
    getattr(stays, "def").column_def.CopyFrom(rest)
    filled = filled_column(replace(action, command=stays))
    if not splits and filled is None:
        return None
    return _together(filled or Split(stays=(stays,)), found)


def _together(column: Split, constraints: list[Split]) -> Split:
    """Combine the steps: first the values, then the constraints on them."""
    steps = [step for split in constraints for step in split.after]
    names = [name for split in constraints for name in split.chosen_names]
    return replace(
        column,
        after=(*column.after, *steps),
        chosen_names=column.chosen_names | frozenset(names),
    )


def _split(action: Action, constraint: pb.Constraint) -> Split | None:
    if constraint.contype == pb.CONSTR_FOREIGN:
        return foreign_key(action, constraint)
    if constraint.contype == pb.CONSTR_UNIQUE:
        return unique(action, constraint)
    return added_not_valid(action, constraint)


def hazards(action: Action) -> Iterator[Hazard]:
    """Give the hazard of a column whose values are not filled in batches."""
    column = column_of(action.command)
    if action.command.missing_ok and action.table.column(column.colname):
        return
    kinds = {item.constraint.contype for item in column.constraints}
    if is_serial(column) or pb.CONSTR_IDENTITY in kinds:
        yield from hazard(action.table, _with_reason(NUMBERED_COLUMN, action))
    elif _is_stored(column):
        has_virtual = action.facts.server_major >= VIRTUAL
        yield from hazard(action.table, VIRTUAL_INSTEAD if has_virtual else STORED_COLUMN)
    elif strings(column.type_name.names)[-1] in action.facts.constrained_domains:
        yield from hazard(action.table, DOMAIN_COLUMN)
    elif has_volatile_default(column, volatile=action.facts.volatile_functions):
        yield from hazard(action.table, _with_reason(VOLATILE_DEFAULT, action))
    elif pb.CONSTR_PRIMARY in kinds:
        yield from hazard(action.table, KEY_COLUMN)


def _with_reason(work: LongWork, action: Action) -> LongWork:
    """Add the reason why the rows are not filled in batches, if that is what stands in the way."""
    reason = why_not_filled(action)
    return work if reason is None else replace(work, instead=reason)


def _is_stored(column: pb.ColumnDef) -> bool:
    return any(
        item.constraint.contype == pb.CONSTR_GENERATED and item.constraint.generated_kind != "v"
        for item in column.constraints
    )


def names(new: NewObject) -> Iterator[str]:
    """Give the names of its key, its sequences, and the proof that it is not NULL."""
    column = column_of(new.node)
    for label in _labels(column):
        yield from candidates(new.table, second=column.colname, label=label)
    for item in column.constraints:
        yield from names_of_check(new, item.constraint)


def _labels(column: pb.ColumnDef) -> Iterator[str]:
    kinds = {item.constraint.contype for item in column.constraints}
    if pb.CONSTR_UNIQUE in kinds:
        yield "key"
    if pb.CONSTR_FOREIGN in kinds:
        yield "fkey"
    if is_serial(column):
        yield "seq"
    if pb.CONSTR_IDENTITY in kinds:
        yield "filling"
    if is_serial(column) or kinds & {pb.CONSTR_IDENTITY, *NOT_NULL}:
        yield "not_null"


def refuse_column_without_values(statement: Statement, *, facts: Facts) -> None:
    """Raise ColumnWithoutValues if PostgreSQL would fail on the first row."""
    node = statement.node
    table = facts.in_use(node.relation) if isinstance(node, pb.AlterTableStmt) else None
    if table is None or table.name not in facts.with_rows:
        return
    for column in columns_without_values(statement):
        is_there = table.column(column.colname) is not None
        kind = strings(column.type_name.names)[-1]
        if not is_there and kind not in facts.defaulting_domains:
            raise ColumnWithoutValues(
                statement=shortened(statement.sql),
                relation=str(table.name),
                column=column.colname,
            )


def columns_without_values(statement: Statement) -> Iterator[pb.ColumnDef]:
    """Give new columns that are NOT NULL and say nothing about their values."""
    if not isinstance(statement.node, pb.AlterTableStmt):
        return
    for item in statement.node.cmds:
        column = column_of(item.alter_table_cmd)
        kinds = {constraint.constraint.contype for constraint in column.constraints}
        if kinds & NOT_NULL and not kinds & WITH_VALUES and not is_serial(column):
            yield column


OPERATION = ActionOperation(
    name="add_column",
    rows=(8, 12, 18, 19, 20, 21, 22, 23),
    actions=frozenset([pb.AT_AddColumn]),
    apply=add_column,
    names=names,
    hazards=hazards,
    looks_at_partitions=True,
)
