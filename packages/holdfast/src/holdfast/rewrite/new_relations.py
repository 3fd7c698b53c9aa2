"""Tracks what the revision itself has made: tables and columns created, renamed, moved, dropped.

One function for each kind of statement, which the record of the operation names. A CREATE TABLE that waits is in no
catalog yet, so what is new is followed by name.
"""

from dataclasses import replace

from google.protobuf.message import Message
from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import Facts, NewRelations
from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.tree import column_of, strings


def created_relation(node: Message) -> pb.RangeVar | None:
    """Give the table or materialized view that the statement creates."""
    if isinstance(node, pb.CreateStmt):
        return node.relation
    if isinstance(node, pb.CreateTableAsStmt):
        return node.into.rel
    if isinstance(node, pb.SelectStmt) and node.HasField("into_clause"):
        return node.into_clause.rel
    return None


def new_after_create(new: NewRelations, node: Message, facts: Facts) -> NewRelations:
    """Add the created relation, unless it existed: IF NOT EXISTS makes nothing new."""
    relation = created_relation(node)
    if relation is None:
        return new
    name = _qualified(relation, facts)
    is_there = any(name == found.name for found in facts.relations.values() if not found.is_new)
    return new if is_there else replace(new, names=new.names | {name})


def new_after_drop(new: NewRelations, node: pb.DropStmt, facts: Facts) -> NewRelations:
    """Remove the tables and materialized views that it drops."""
    if node.remove_type not in (pb.OBJECT_TABLE, pb.OBJECT_MATVIEW):
        return new
    written = [strings(item.list.items) for item in node.objects]
    gone = {
        QualifiedName(schema=name[-2] if len(name) > 1 else facts.current_schema, name=name[-1])
        for name in written
    }
    return NewRelations(
        names=new.names - gone,
        columns=frozenset((table, name) for table, name in new.columns if table not in gone),
    )


def new_after_rename(new: NewRelations, node: pb.RenameStmt, facts: Facts) -> NewRelations:
    """Keep what is new under its other name."""
    if node.rename_type in (pb.OBJECT_TABLE, pb.OBJECT_MATVIEW):
        old = _qualified(node.relation, facts)
        return _moved(new, old, to=QualifiedName(schema=old.schema, name=node.newname))
    table = _in_use(node.relation, facts) if node.rename_type == pb.OBJECT_COLUMN else None
    if table is None:
        return new
    old_column, column = (table, node.subname), (table, node.newname)
    left = new.columns - {old_column, column}
    return replace(new, columns=left | ({column} if old_column in new.columns else set()))


def new_after_move(new: NewRelations, node: pb.AlterObjectSchemaStmt, facts: Facts) -> NewRelations:
    """Keep what is new in its other schema."""
    if node.object_type != pb.OBJECT_TABLE:
        return new
    old = _qualified(node.relation, facts)
    return _moved(new, old, to=QualifiedName(schema=node.newschema, name=old.name))


def new_after_alter_table(new: NewRelations, node: pb.AlterTableStmt, facts: Facts) -> NewRelations:
    """Add the columns that it adds to a table in use, and remove those that it drops."""
    table = _in_use(node.relation, facts)
    if table is None:
        return new
    commands = [item.alter_table_cmd for item in node.cmds]
    added = {
        (table, column_of(command).colname)
        for command in commands
        if command.subtype == pb.AT_AddColumn and not command.missing_ok
    }
    dropped = {(table, c.name) for c in commands if c.subtype == pb.AT_DropColumn}
    return replace(new, columns=(new.columns - dropped) | added)


def _moved(new: NewRelations, old: QualifiedName, *, to: QualifiedName) -> NewRelations:
    """Move a name; one that an old table takes over is no longer a new table's."""
    return NewRelations(
        names=(new.names - {old, to}) | ({to} if old in new.names else set()),
        columns=frozenset((to if table == old else table, name) for table, name in new.columns),
    )


def _qualified(relation: pb.RangeVar, facts: Facts) -> QualifiedName:
    return QualifiedName(schema=relation.schemaname or facts.current_schema, name=relation.relname)


def _in_use(written: pb.RangeVar, facts: Facts) -> QualifiedName | None:
    """Find, among the relations in use that the statement names, the one of this name."""
    return next(
        (
            found.name
            for found in facts.relations.values()
            if not found.is_new
            and found.name.name == written.relname
            and written.schemaname in ("", found.name.schema)
        ),
        None,
    )
