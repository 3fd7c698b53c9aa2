"""ALTER COLUMN TYPE: by a copy of the column, if PostgreSQL would rewrite every row.

Where it would not, but read them all for a CHECK: without the CHECK, and with it NOT VALID again, in one transaction;
then VALIDATE.
"""

from collections.abc import Iterator
from dataclasses import replace

from google.protobuf.message import Message
from postgast import pg_query_pb2 as pb

from holdfast.rewrite.column_copy.facts import ChangedTable
from holdfast.rewrite.column_copy.plan import column_copy
from holdfast.rewrite.facts import Constraint, ConstraintKind, Relation
from holdfast.rewrite.hazards import Hazard, LongWork, hazard
from holdfast.rewrite.queue.queued_changes import QueuedChange
from holdfast.rewrite.rewriting import (
    Action,
    ActionOperation,
    Split,
    add_constraint,
    alter_table,
    drop_constraint,
    dropped_constraints,
    not_valid,
    transaction,
    validate,
)
from holdfast.rewrite.steps import TransactionStep
from holdfast.rewrite.tree import add_strings, parsed_constraint
from holdfast.rewrite.type_change import (
    TANGLED,
    belongs_to_copy,
    changed_table_of,
    is_refused_by_postgresql,
    is_tangled_copy,
    is_untried,
    reasons_against_copy,
    rewrites_rows,
)

TANGLING = frozenset([pb.AT_AlterColumnType, pb.AT_DropColumn, pb.AT_DropConstraint])

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


def alter_column_type(action: Action) -> Split | None:
    """Give the steps; None if it is over in a moment, or refused."""
    if is_untried(action):
        return Split(
            after=(transaction(alter_table(action.table.name, action.command), facts=action.facts),)
        )
    table = changed_table_of(action)
    if table is None or not belongs_to_copy(action, table):
        return None
    if rewrites_rows(table):
        return _copied(action, table)
    if action.command.subtype != pb.AT_AlterColumnType or action.table.descendants:
        return None
    return _under_checks(action)


def _copied(action: Action, table: ChangedTable) -> Split | None:
    """Give the steps of one copy for all columns of the statement, in the place of the first of them."""
    if is_tangled_copy(action, table):
        return (
            None  # refused at once, also where PostgreSQL is to be asked anew when its turn comes
        )
    if is_refused_by_postgresql(table):
        # It may work when its turn comes; otherwise PostgreSQL refuses it at once, in its own words.
        return Split(after=(_alone(action, table),)) if _is_first(action, table) else Split()
    if reasons_against_copy(action, table):
        return None
    return Split(after=column_copy(table)) if _is_first(action, table) else Split()


def _is_first(action: Action, table: ChangedTable) -> bool:
    changing = {change.column for change in table.changes}
    first = next(
        item.alter_table_cmd
        for item in action.statement.cmds
        if item.alter_table_cmd.subtype == pb.AT_AlterColumnType
        and item.alter_table_cmd.name in changing
    )
    return bool(action.command == first)


def _alone(action: Action, table: ChangedTable) -> TransactionStep:
    commands = (item.alter_table_cmd for item in action.statement.cmds)
    of_columns = (c for c in commands if belongs_to_copy(replace(action, command=c), table))
    return transaction(alter_table(action.table.name, *of_columns), facts=action.facts)


def _under_checks(action: Action) -> Split | None:
    name = action.command.name
    checks = [
        found
        for found in action.table.constraints
        if found.kind is ConstraintKind.CHECK and name in found.columns
    ]
    if not checks or _others_change(action, checks=checks):
        return None
    return Split(
        stays=(*(drop_constraint(check.name) for check in checks), action.command),
        also=tuple(node for check in checks for node in _again(action, check)),
        after=tuple(
            validate(action.table, table=action.table.name, constraint=check.name)
            for check in checks
            if check.is_validated
        ),
    )


def _others_change(action: Action, *, checks: list[Constraint]) -> bool:
    """Whether another action of the statement changes such a CHECK or one of its columns."""
    names = {check.name for check in checks} | {name for check in checks for name in check.columns}
    others = (item.alter_table_cmd for item in action.statement.cmds)
    return any(
        other.name in names
        for other in others
        if other.subtype in TANGLING and other != action.command
    )


def _again(action: Action, check: Constraint) -> Iterator[Message]:
    """Add the CHECK of a changed column again, comment included, as PostgreSQL itself does."""
    constraint = not_valid(parsed_constraint(check.definition, name=check.name))
    yield alter_table(action.table.name, add_constraint(constraint))
    if check.comment is not None:
        comment = pb.CommentStmt(objtype=pb.OBJECT_TABCONSTRAINT, comment=check.comment)
        table = action.table.name
        add_strings(comment.object.list.items, (table.schema, table.name, check.name))
        yield comment


def hazards(action: Action) -> Iterator[Hazard]:
    """Give the hazard of a column that is not copied."""
    if action.command.subtype != pb.AT_AlterColumnType:
        return
    table, found = action.table, changed_table_of(action)
    if table.partition_of is not None or (table.descendants and not action.statement.relation.inh):
        return  # PostgreSQL refuses at once what would change a part of them only
    conversion = found.conversion(action.command.name) if found else None
    if found is None or conversion is None:
        return
    if rewrites_rows(found):
        # No reason is left if another action of the statement was the reason.
        reasons = " ".join(reasons_against_copy(action, found)) or TANGLED
        instead = f"It is executed by a copy of the column, but not here. {reasons}"
        yield from hazard(table, replace(_work_of(found), instead=instead))
        return
    if _checks_on(table, column=action.command.name) - dropped_constraints(action.statement):
        yield from hazard(table, TYPE_CHANGE_UNDER_CHECK)


def _work_of(found: ChangedTable) -> LongWork:
    built = [index for change in found.changes for index in change.rebuilt_indexes]
    if not built or found.is_stale or any(c.rewrites or c.error for c in found.changes):
        return TYPE_CHANGE
    return replace(TYPE_CHANGE, work=f"builds {', '.join(built)} anew, though no row is written,")


def _checks_on(table: Relation, *, column: str) -> frozenset[str]:
    """Give the CHECK constraints that mention the column."""
    return frozenset(
        found.name
        for found in table.constraints
        if found.kind is ConstraintKind.CHECK and column in found.columns
    )


OPERATION = ActionOperation(
    name="alter_column_type",
    rows=(24, 25),
    actions=frozenset([pb.AT_AlterColumnType, pb.AT_ColumnDefault]),
    apply=alter_column_type,
    hazards=hazards,
)
