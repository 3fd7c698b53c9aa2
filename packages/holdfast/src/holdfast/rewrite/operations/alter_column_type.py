"""ALTER COLUMN TYPE to a wider type under a CHECK: without it, and with it NOT VALID again, in one
transaction; then VALIDATE. As written, every row would be read for the CHECK under the lock."""

from collections.abc import Iterator

from google.protobuf.message import Message
from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import Constraint, ConstraintKind
from holdfast.rewrite.rewriting import (
    Action,
    ActionRewrite,
    Split,
    add_constraint,
    alter_table,
    drop_constraint,
    not_valid,
    validate,
)
from holdfast.rewrite.tree import add_strings, column_of, parsed_constraint
from holdfast.rewrite.type_change import keeps_rows

TANGLED = frozenset([pb.AT_AlterColumnType, pb.AT_DropColumn, pb.AT_DropConstraint])


def alter_column_type(action: Action) -> Split | None:
    """Only where the rows stay as they are: any other change has no online form yet (row 24)."""
    name = action.command.name
    if action.command.subtype != pb.AT_AlterColumnType or action.table.descendants:
        return None
    column = action.table.column(name)
    if column is None or not keeps_rows(column, column_of(action.command), facts=action.facts):
        return None
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
    """Another action of the statement changes such a CHECK or one of its columns: too tangled."""
    names = {check.name for check in checks} | {name for check in checks for name in check.columns}
    others = (item.alter_table_cmd for item in action.statement.cmds)
    return any(
        other.name in names
        for other in others
        if other.subtype in TANGLED and other != action.command
    )


def _again(action: Action, check: Constraint) -> Iterator[Message]:
    """As PostgreSQL itself adds the CHECK of a changed column again, comment and all."""
    constraint = not_valid(parsed_constraint(check.definition, name=check.name))
    yield alter_table(action.table.name, add_constraint(constraint))
    if check.comment is not None:
        comment = pb.CommentStmt(objtype=pb.OBJECT_TABCONSTRAINT, comment=check.comment)
        table = action.table.name
        add_strings(comment.object.list.items, (table.schema, table.name, check.name))
        yield comment


REWRITE = ActionRewrite(name="alter_column_type", rows=(25,), apply=alter_column_type)
