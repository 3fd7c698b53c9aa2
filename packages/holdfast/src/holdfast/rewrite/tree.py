"""Reads and writes PostgreSQL's syntax trees: everything that the other files of `rewrite` need of them."""

from collections.abc import Iterator
from typing import Any, TypeVar

import postgast
from google.protobuf.message import Message
from postgast import pg_query_pb2 as pb

from holdfast.rewrite.names import QualifiedName

PARSER_VERSION = 180004

Node = TypeVar("Node", bound=Message)


def find(root: Message, kind: type[Node]) -> Iterator[Node]:
    """Give every node of one kind below the root, the root included, in the order of the text."""
    return (node for node in every(root) if isinstance(node, kind))


def every(root: Message) -> Iterator[Message]:
    """Give every node below the root, the root included, in the order of the text."""
    left = [root]  # not postgast.walk(), which takes twice as long
    while left:
        node = left.pop()
        if isinstance(node, pb.Node) and (which := node.WhichOneof("node")):
            node = getattr(node, which)
        yield node
        below: list[Message] = []
        for field, value in node.ListFields():
            if field.message_type is not None:
                below.extend((value,) if isinstance(value, Message) else value)
        left.extend(reversed(below))


def copy(node: Node) -> Node:
    """Copy a node, to change it."""
    duplicate = type(node)()
    duplicate.CopyFrom(node)
    return duplicate


def sql(node: Message) -> str:
    """Write one statement as SQL text."""
    result = pb.ParseResult(version=PARSER_VERSION)
    wrap(node, into=result.stmts.add().stmt)
    return postgast.deparse(result)


def wrap(node: Message, *, into: pb.Node) -> None:
    """Put a concrete node into the generic one that lists and statements consist of."""
    for field in pb.Node.DESCRIPTOR.fields:
        if field.message_type is node.DESCRIPTOR:
            getattr(into, field.name).CopyFrom(node)


def expression_sql(expression: pb.Node) -> str:
    """Write an expression as SQL text."""
    select = pb.SelectStmt(limit_option=pb.LIMIT_OPTION_DEFAULT, op=pb.SETOP_NONE)
    select.target_list.add().res_target.val.CopyFrom(expression)
    return sql(select).removeprefix("SELECT ")


def definition(command: pb.AlterTableCmd | pb.DefElem) -> Any:  # a generic Node
    """Give the field that is called `def` in C, a keyword in Python."""
    return getattr(command, "def")


def constraint_of(command: pb.AlterTableCmd) -> pb.Constraint:
    """Give the constraint of an ADD CONSTRAINT."""
    constraint: pb.Constraint = definition(command).constraint
    return constraint


def column_of(command: pb.AlterTableCmd) -> pb.ColumnDef:
    """Give the column of an ADD COLUMN or ALTER COLUMN TYPE."""
    column: pb.ColumnDef = definition(command).column_def
    return column


def has_option(options: Any, *, name: str) -> bool:  # protobuf's repeated field
    """Whether an option is among those in parentheses: CONCURRENTLY, FULL, ANALYZE."""
    return any(option.def_elem.defname == name for option in options)


def strings(nodes: Any) -> tuple[str, ...]:  # protobuf's repeated field
    """Give the texts of a list of names."""
    return tuple(node.string.sval for node in nodes)


def add_strings(nodes: Any, names: tuple[str, ...]) -> None:  # protobuf's repeated field
    """Append names to a list of names."""
    for name in names:
        nodes.add().string.sval = name


def qualify(relation: pb.RangeVar, name: QualifiedName) -> None:
    """Make the tree name exactly this relation, whatever the search_path is when it runs."""
    relation.schemaname, relation.relname = name.schema, name.name


def parsed_expression(text: str) -> pb.Node:
    """Parse an expression into its tree."""
    (statement,) = postgast.parse(f"SELECT {text}").stmts
    return statement.stmt.select_stmt.target_list[0].res_target.val


def parsed_constraint(definition: str, *, name: str) -> pb.Constraint:
    """Parse the tree of a constraint, from what pg_get_constraintdef() writes."""
    (statement,) = postgast.parse(f"ALTER TABLE t ADD {definition}").stmts
    constraint = copy(constraint_of(statement.stmt.alter_table_stmt.cmds[0].alter_table_cmd))
    constraint.conname = name
    return constraint


def columns_read(node: Message) -> tuple[str, ...]:
    """Give the columns that expressions below this node read."""
    return tuple(
        strings(column.fields)[-1] for column in find(node, pb.ColumnRef) if strings(column.fields)
    )
