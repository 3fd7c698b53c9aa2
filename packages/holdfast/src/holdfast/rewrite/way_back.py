"""Writes the statement that undoes another, if its text tells: for what a revision did at once."""

from google.protobuf.message import Message
from postgast import pg_query_pb2 as pb

from holdfast.errors.statement import UnparsableStatement
from holdfast.rewrite.names import quote
from holdfast.rewrite.operations import BY_STATEMENT
from holdfast.rewrite.statement import parse, shortened

BY_HAND = "-- by hand, take back: "


def way_back(sql: str) -> tuple[str, ...]:
    """Give the statements that undo this one, in order; a comment that names it if a person has to find out."""
    try:
        [statement] = parse(sql)
        found = _of(statement.node)
    except (UnparsableStatement, ValueError):
        found = ()
    return found or (by_hand(shortened(sql)),)


def by_hand(what: str) -> str:
    """Write the line for what a person has to undo."""
    return f"{BY_HAND}{what}"


def is_by_hand(line: str) -> bool:
    """Whether it is such a line."""
    return line.startswith(BY_HAND)


def _of(node: Message) -> tuple[str, ...]:
    match node:
        case pb.CreateStmt():
            return (f"DROP TABLE {_name(node.relation)}",)
        case pb.CreateSeqStmt():
            return (f"DROP SEQUENCE {_name(node.sequence)}",)
        case pb.ViewStmt() if not node.replace:
            return (f"DROP VIEW {_name(node.view)}",)
        case pb.AlterTableStmt() if node.objtype == pb.OBJECT_TABLE:
            undone = [_of_action(node, each) for each in _lasting(node)]
            return tuple(each for each in reversed(undone) if each) if all(undone) else ()
        case _:
            ways = (each.way_back for each in BY_STATEMENT.get(type(node), ()))
            return next((way(node) for way in ways if way is not None), ())


def _lasting(node: pb.AlterTableStmt) -> list[pb.AlterTableCmd]:
    """Give the actions without defaults of columns that the same statement adds: they are dropped with the column."""
    actions = [each.alter_table_cmd for each in node.cmds]
    added = {
        getattr(each, "def").column_def.colname
        for each in actions
        if each.subtype == pb.AT_AddColumn and not each.missing_ok
    }
    return [
        each for each in actions if each.subtype != pb.AT_ColumnDefault or each.name not in added
    ]


def _of_action(node: pb.AlterTableStmt, action: pb.AlterTableCmd) -> str:
    table = f"ALTER TABLE {_name(node.relation)}"
    match action.subtype:
        case pb.AT_AddColumn if not action.missing_ok:
            return f"{table} DROP COLUMN {quote(getattr(action, 'def').column_def.colname)}"
        case pb.AT_AddConstraint if action.HasField("def"):
            name = getattr(action, "def").constraint.conname
            # A partition's object is dropped with its table's, which may be undone first.
            return f"{table} DROP CONSTRAINT IF EXISTS {quote(name)}" if name else ""
        case pb.AT_DropNotNull:
            return f"{table} ALTER COLUMN {quote(action.name)} SET NOT NULL"
        case pb.AT_SetNotNull:
            return f"{table} ALTER COLUMN {quote(action.name)} DROP NOT NULL"
        case _:
            return ""


def _name(relation: pb.RangeVar) -> str:
    schema = f"{quote(relation.schemaname)}." if relation.schemaname else ""
    return f"{schema}{quote(relation.relname)}"
