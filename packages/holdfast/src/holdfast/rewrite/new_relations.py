"""The tables and columns that the running revision has created itself: nobody uses them yet.

Follows the statements of the revision by name, because a queued CREATE TABLE is in no catalog yet.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.statement import Statement
from holdfast.rewrite.tree import column_of, strings


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRelations:
    """Names of relations; each step gives a new value, to be stored beside the queue."""

    names: frozenset[QualifiedName] = frozenset()
    columns: frozenset[tuple[QualifiedName, str]] = frozenset()  # of tables that were there before

    def __contains__(self, name: QualifiedName) -> bool:
        return name in self.names

    def after(
        self, statement: Statement, *, current_schema: str, existing: Iterable[QualifiedName] = ()
    ) -> "NewRelations":
        """What is new once the statement has run.

        `existing` were there before: CREATE TABLE IF NOT EXISTS does not make them new.
        """
        existing = frozenset(existing)
        created = _created(statement, current_schema=current_schema) - existing
        gone = _dropped(statement, current_schema=current_schema)
        renamed = _renamed(statement, current_schema=current_schema)
        carried = {new for old, new in renamed if old in self.names}
        # A name that an old table takes over is no longer a new table's.
        replaced = gone | {old for old, _ in renamed} | {new for _, new in renamed}
        return NewRelations(
            names=(self.names - replaced) | carried | created,
            columns=_columns_after(
                self.columns, statement, renamed=dict(renamed), gone=gone, existing=existing
            ),
        )

    def to_json(self) -> str:
        """For the journal: a pair for a relation, three for a column."""
        relations = [[name.schema, name.name] for name in sorted(self.names)]
        columns = [[name.schema, name.name, column] for name, column in sorted(self.columns)]
        return json.dumps([*relations, *columns])

    @classmethod
    def from_json(cls, text: str) -> "NewRelations":
        """Read them from the text that the journal keeps."""
        found = [(QualifiedName(schema=item[0], name=item[1]), item) for item in json.loads(text)]
        return cls(
            names=frozenset(name for name, item in found if len(item) == 2),
            columns=frozenset((name, item[2]) for name, item in found if len(item) > 2),
        )


def created_relation(statement: Statement) -> pb.RangeVar | None:
    """The table or materialized view that the statement creates."""
    node = statement.node
    if isinstance(node, pb.CreateStmt):
        return node.relation
    if isinstance(node, pb.CreateTableAsStmt):
        return node.into.rel
    if isinstance(node, pb.SelectStmt) and node.HasField("into_clause"):
        return node.into_clause.rel
    return None


def _qualified(relation: pb.RangeVar, *, current_schema: str) -> QualifiedName:
    return QualifiedName(schema=relation.schemaname or current_schema, name=relation.relname)


def _created(statement: Statement, *, current_schema: str) -> frozenset[QualifiedName]:
    relation = created_relation(statement)
    if relation is None:
        return frozenset()
    return frozenset([_qualified(relation, current_schema=current_schema)])


def _dropped(statement: Statement, *, current_schema: str) -> frozenset[QualifiedName]:
    node = statement.node
    if not isinstance(node, pb.DropStmt) or node.remove_type not in (
        pb.OBJECT_TABLE,
        pb.OBJECT_MATVIEW,
    ):
        return frozenset()
    names = [strings(item.list.items) for item in node.objects]
    return frozenset(
        QualifiedName(schema=name[-2] if len(name) > 1 else current_schema, name=name[-1])
        for name in names
    )


def _renamed(
    statement: Statement, *, current_schema: str
) -> list[tuple[QualifiedName, QualifiedName]]:
    """The old and the new name of a table that gets another name or another schema."""
    node = statement.node
    if isinstance(node, pb.RenameStmt) and node.rename_type in (pb.OBJECT_TABLE, pb.OBJECT_MATVIEW):
        old = _qualified(node.relation, current_schema=current_schema)
        return [(old, QualifiedName(schema=old.schema, name=node.newname))]
    if isinstance(node, pb.AlterObjectSchemaStmt) and node.object_type == pb.OBJECT_TABLE:
        old = _qualified(node.relation, current_schema=current_schema)
        return [(old, QualifiedName(schema=node.newschema, name=old.name))]
    return []


def _columns_after(
    columns: frozenset[tuple[QualifiedName, str]],
    statement: Statement,
    *,
    renamed: dict[QualifiedName, QualifiedName],
    gone: frozenset[QualifiedName],
    existing: frozenset[QualifiedName],
) -> frozenset[tuple[QualifiedName, str]]:
    """The new columns of tables in use: added, renamed, dropped, and with a table that gets another name."""
    left = {(renamed.get(table, table), name) for table, name in columns if table not in gone}
    node = statement.node
    if isinstance(node, pb.AlterTableStmt):
        table = _existing(node.relation, existing)
        return frozenset(left) if table is None else _columns_of_actions(left, node, table)
    if isinstance(node, pb.RenameStmt) and node.rename_type == pb.OBJECT_COLUMN:
        table = _existing(node.relation, existing)
        if table is not None:
            is_new = (table, node.subname) in left
            left -= {(table, node.subname), (table, node.newname)}
            left |= {(table, node.newname)} if is_new else set()
    return frozenset(left)


def _columns_of_actions(
    columns: set[tuple[QualifiedName, str]], node: pb.AlterTableStmt, table: QualifiedName
) -> frozenset[tuple[QualifiedName, str]]:
    commands = [item.alter_table_cmd for item in node.cmds]
    added = {
        (table, column_of(command).colname)
        for command in commands
        if command.subtype == pb.AT_AddColumn and not command.missing_ok
    }
    dropped = {(table, c.name) for c in commands if c.subtype == pb.AT_DropColumn}
    return frozenset((columns - dropped) | added)


def _existing(written: pb.RangeVar, existing: frozenset[QualifiedName]) -> QualifiedName | None:
    """Of the relations in use that the statement is about, the one that it names like this."""
    return next(
        (
            name
            for name in existing
            if name.name == written.relname and written.schemaname in ("", name.schema)
        ),
        None,
    )
