"""Finds statements that need a name which still waits for `holdfast finish`, or would change what waits.

Said before anything of its revision runs. Whatever has nothing to do with what waits never waits for it.
"""

from collections.abc import Iterator

import postgast
from google.protobuf.message import Message
from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import Facts, Releases
from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.side_by_side.created import FUNCTIONS, TYPES, created_object
from holdfast.rewrite.statement import (
    Statement,
    StatementKind,
    WrittenName,
    function_names,
    relations_in,
    types_in,
)
from holdfast.rewrite.tree import find, strings
from holdfast.rewrite.waiting import Waiting

PRIVILEGES = (pb.GrantStmt, pb.AlterOwnerStmt, pb.AlterDefaultPrivilegesStmt)


def needs(statement: Statement, *, facts: Facts) -> Waiting | None:
    """Give the first waiting thing that must be finished, or taken back, before the statement can run."""
    if statement.kind is not StatementKind.DDL:
        return None
    if isinstance(statement.node, PRIVILEGES):
        return _second_name_granted(statement, facts)
    named = _named(statement, facts)
    names = frozenset(_texts(statement.node))
    for waiting in facts.side_by_side.waiting:
        if _is_in_the_way(statement, waiting, facts=facts, named=named, names=names):
            return waiting
    return None


def _second_name_granted(statement: Statement, facts: Facts) -> Waiting | None:
    """Give the column whose new name gets privileges, which would be dropped with the second column."""
    columns = {
        column for item in find(statement.node, pb.AccessPriv) for column in strings(item.cols)
    }
    named = _named(statement, facts)
    found = (
        waiting
        for waiting in facts.side_by_side.waiting
        if waiting.what == "column name"
        and waiting.relation in named
        and waiting.new_name in columns
    )
    return next(found, None)


def _is_in_the_way(
    statement: Statement,
    waiting: Waiting,
    *,
    facts: Facts,
    named: frozenset[QualifiedName],
    names: frozenset[str],
) -> bool:
    match waiting.what:
        case _ if _moves_schema(statement, waiting):
            return True
        case "value":
            is_its_type = isinstance(statement.node, pb.AlterEnumStmt) and waiting.kind in names
            return is_its_type and bool({waiting.name, waiting.new_name} & names)
        case "object":
            return _is_of_object(statement, waiting, named)
        case "table":
            return waiting.relation in named
        case "table name":
            assert waiting.relation is not None  # noqa: S101  # the table itself
            old = QualifiedName(schema=waiting.relation.schema, name=waiting.name)
            return old in named or (
                waiting.relation in named and _is_hindered_by_view(statement, facts)
            )
        case "default" if _changes_type(statement, waiting.column):
            return False  # what it is given back afterwards is of the new type
        case _:
            if waiting.relation not in named:
                return False
            if _moves(statement, facts):
                return True
            own = {waiting.name, waiting.new_name or waiting.name, waiting.column or waiting.name}
            return bool(own & names) or (waiting.what != "unique key" and _takes_all(statement))


def _named(statement: Statement, facts: Facts) -> frozenset[QualifiedName]:
    """Give the relations that the statement itself names; the facts may contain more."""
    found = {_meant(written, facts) for written in relations_in(statement)}
    node = statement.node
    if isinstance(node, pb.RenameStmt) and node.rename_type != pb.OBJECT_COLUMN:
        found.add(_meant((node.relation.schemaname, node.newname), facts))
    return frozenset(found)


def _meant(written: WrittenName, facts: Facts) -> QualifiedName:
    """Give the relation, or the table of an index."""
    if (relation := facts.relations.get(written)) is not None:
        return relation.name
    if (index := facts.indexes.get(written)) is not None:
        return index.table
    return QualifiedName(schema=written[0] or facts.current_schema, name=written[1])


def _texts(node: Message) -> Iterator[str]:
    """Give every name and text in the statement."""
    for _, each in postgast.walk(node):
        if isinstance(each, Message) and not isinstance(each, pb.RangeVar):
            for field, value in each.ListFields():
                if field.type == field.TYPE_STRING:
                    yield from value if not isinstance(value, str) else (value,)


def _is_of_object(statement: Statement, waiting: Waiting, named: frozenset[QualifiedName]) -> bool:
    created = created_object(statement)
    if created is not None and created.is_object(waiting.kind, waiting.name):
        return True
    name = waiting.name.split("(")[0].split(".")[-1]
    if waiting.kind in FUNCTIONS:
        return name in function_names(statement.node)
    if waiting.kind in TYPES:
        return name in types_in(statement)
    return any(relation.name == name for relation in named)


def _changes_type(statement: Statement, column: str) -> bool:
    node = statement.node
    return isinstance(node, pb.AlterTableStmt) and any(
        item.alter_table_cmd.subtype == pb.AT_AlterColumnType
        and item.alter_table_cmd.name == column
        for item in node.cmds
    )


def _moves_schema(statement: Statement, waiting: Waiting) -> bool:
    """Whether it renames the schema of what waits."""
    node = statement.node
    if not isinstance(node, pb.RenameStmt) or node.rename_type != pb.OBJECT_SCHEMA:
        return False
    is_in_it = waiting.relation is not None and waiting.relation.schema == node.subname
    return is_in_it or waiting.name.startswith(f"{node.subname}.")


def _moves(statement: Statement, facts: Facts) -> bool:
    """Whether it renames the table, moves it to another schema, or drops it at once."""
    node = statement.node
    if isinstance(node, pb.RenameStmt):
        return bool(node.rename_type == pb.OBJECT_TABLE)
    if isinstance(node, pb.AlterObjectSchemaStmt):
        return True
    is_drop = isinstance(node, pb.DropStmt) and node.remove_type == pb.OBJECT_TABLE
    return is_drop and facts.side_by_side.releases is not Releases.TWO


def _is_hindered_by_view(statement: Statement, facts: Facts) -> bool:
    """Whether PostgreSQL refuses it as long as the view of the old name reads the table."""
    if _moves(statement, facts):
        return True
    node = statement.node
    if not isinstance(node, pb.AlterTableStmt):
        return False
    kinds = {item.alter_table_cmd.subtype for item in node.cmds}
    drops = pb.AT_DropColumn in kinds and facts.side_by_side.releases is not Releases.TWO
    return pb.AT_AlterColumnType in kinds or drops


def _takes_all(statement: Statement) -> bool:
    """Whether it takes every column of a table, waiting ones included: `*` in a view, LIKE, INHERITS."""
    if any(True for _ in find(statement.node, pb.TableLikeClause)):
        return True
    if isinstance(statement.node, pb.CreateStmt) and len(statement.node.inh_relations):
        return True
    return any(
        reference.fields and reference.fields[-1].HasField("a_star")
        for reference in find(statement.node, pb.ColumnRef)
    )
