"""Reads what ALTER COLUMN .. TYPE would do, by trying it on an empty copy, and what depends on the columns.

The statement is tried on an empty copy of the table, in a subtransaction that is always rolled back: it answers with
PostgreSQL's own errors, with the exact new type, and with whether the rows or an index would be written anew.
https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from postgast import pg_query_pb2 as pb
from pydantic import TypeAdapter

from holdfast.observe.brief_wait import brief, naming
from holdfast.observe.changed_table_sql import ASK
from holdfast.rewrite.column_copy.facts import ChangedTable
from holdfast.rewrite.facts import ConstraintKind, Relation, RelationKind
from holdfast.rewrite.names import QualifiedName, quote
from holdfast.rewrite.rewriting import drop_constraint
from holdfast.rewrite.statement import Statement
from holdfast.rewrite.tree import column_of, copy, expression_sql, sql

ANSWERED = TypeAdapter(ChangedTable)
KINDS = (RelationKind.TABLE, RelationKind.PARTITIONED_TABLE)

SET = sa.text("SELECT set_config('holdfast.question', :question, false)")
# A row per partition, at any depth, each behind its parent.
PARTITIONS = brief("""
SELECT relid::oid::int8 AS oid, parentrelid::oid::int8 AS parent, nspname AS schema, relname AS name
FROM pg_catalog.pg_partition_tree(CAST(:table AS regclass))
JOIN pg_catalog.pg_class c ON c.oid = relid
JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace
WHERE level > 0 ORDER BY level, c.oid
""")
TAKE = sa.text(
    "SELECT current_setting('holdfast.answer'), set_config('holdfast.answer', '', false),"
    " set_config('holdfast.question', '', false)"
)


def changed_table(
    connection: sa.Connection,
    statement: Statement,
    table: Relation | None,
    *,
    new_types: Sequence[str] = (),
    dropped: Collection[str] = (),
) -> ChangedTable | None:
    """Give the facts of a table in use one or more of whose columns change their type; None for any other.

    `new_types`: CREATE TYPEs that are to run before; `dropped`: constraints and indexes of the table that go before it.
    """
    node = statement.node
    if not isinstance(node, pb.AlterTableStmt) or table is None or table.is_new:
        return None
    columns = [
        item.alter_table_cmd
        for item in node.cmds
        if item.alter_table_cmd.subtype == pb.AT_AlterColumnType
        and table.column(item.alter_table_cmd.name)
    ]
    if not columns or table.kind not in KINDS:
        return None
    question = {
        "table": str(table.name),
        "schema": table.name.schema,
        "clone": f"pg_temp.{quote(table.name.name)}",
        "types": list(new_types),
        "dropped": _indexes(table, dropped),
        "columns": [command.name for command in columns],
        "changes": [_change(node, command, without=_checks(table, dropped)) for command in columns],
    }
    asked = _asked(connection, question, table.name)
    return replace(asked, partitions=tuple(_partitions(connection, asked)))


def columns_that_go(statement: Statement) -> tuple[tuple[str, str] | None, tuple[str, ...]]:
    """Give the table as it is written, and the columns that the statement drops or renames."""
    node = statement.node
    if isinstance(node, pb.RenameStmt) and node.rename_type == pb.OBJECT_COLUMN:
        return (node.relation.schemaname, node.relation.relname), (node.subname,)
    if not isinstance(node, pb.AlterTableStmt):
        return None, ()
    commands = [item.alter_table_cmd for item in node.cmds]
    names = tuple(each.name for each in commands if each.subtype == pb.AT_DropColumn)
    return (node.relation.schemaname, node.relation.relname), names


def table_of_columns(
    connection: sa.Connection, table: Relation, columns: tuple[str, ...]
) -> ChangedTable | None:
    """Give the same facts of a table that loses some columns; None for a new one."""
    known = [name for name in columns if table.column(name) is not None]
    if table.is_new or table.kind not in KINDS or not known:
        return None
    clone = f"pg_temp.{quote(table.name.name)}"
    question = {
        "table": str(table.name),
        "schema": table.name.schema,
        "clone": clone,
        "columns": known,
        "changes": [
            {
                "column": name,
                # A type "change" to the same type: only the dependents of the column are wanted.
                "alter": f"ALTER TABLE {clone} ALTER COLUMN {quote(name)} SET STATISTICS -1",
                "using": None,
            }
            for name in known
        ],
    }
    return _asked(connection, question, table.name)


def with_partitions_now(connection: sa.Connection, table: ChangedTable) -> ChangedTable:
    """Give the table with the partitions that it has now; those already known stay as they were."""
    rows = _below(connection, table)
    there = {row.oid: _name(row) for row in rows}
    known = {part.oid for part in table.partitions}
    kept = (
        replace(part, table=there.get(part.oid, part.table), is_gone=part.oid not in there)
        for part in table.partitions
    )
    new = (_partition(connection, table, row) for row in rows if row.oid not in known)
    return replace(table, partitions=(*kept, *(replace(part, is_late=True) for part in new)))


def _partitions(connection: sa.Connection, table: ChangedTable) -> Iterator[ChangedTable]:
    if table.is_partitioned:
        yield from (_partition(connection, table, row) for row in _below(connection, table))


def _below(connection: sa.Connection, table: ChangedTable) -> Sequence[sa.Row[Any]]:
    with naming((table.table,)):
        return connection.execute(PARTITIONS, {"table": str(table.table)}).all()


def _partition(connection: sa.Connection, table: ChangedTable, row: sa.Row[Any]) -> ChangedTable:
    name = _name(row)
    columns = [column.name for column in table.columns]
    question = {"table": str(name), "schema": row.schema, "columns": columns, "changes": []}
    found = _asked(connection, question, name)
    return replace(found, parent=row.parent, changes=table.changes, settings=table.settings)


def _name(row: sa.Row[Any]) -> QualifiedName:
    return QualifiedName(schema=row.schema, name=row.name)


def _asked(
    connection: sa.Connection, question: Mapping[str, object], table: QualifiedName
) -> ChangedTable:
    with naming((table,)):
        connection.execute(SET, {"question": json.dumps(question)})
        connection.exec_driver_sql(ASK, execution_options={"no_parameters": True})
        return ANSWERED.validate_json(connection.execute(TAKE).one()[0])


def _indexes(table: Relation, names: Collection[str]) -> list[str]:
    """Give those that are indexes, or constraints that have one."""
    return [
        index.name.name
        for index in table.indexes
        if index.name.name in names or index.constraint in names
    ]


def _checks(table: Relation, names: Collection[str]) -> list[pb.Node]:
    """Write DROP CONSTRAINT for those that are CHECKs: an empty copy of the table has them by the same names."""
    return [
        pb.Node(alter_table_cmd=drop_constraint(found.name))
        for found in table.constraints
        if found.kind is ConstraintKind.CHECK and found.name in names
    ]


def _change(
    node: pb.AlterTableStmt, command: pb.AlterTableCmd, *, without: Iterable[pb.Node]
) -> dict[str, str | None]:
    """Describe one column: the statement that changes its type, and its default if the author changes that, too."""
    tried = copy(node)
    tried.relation.schemaname = "pg_temp"
    tried.relation.inh, tried.missing_ok = True, False
    of_column = [
        item
        for item in node.cmds
        if item.alter_table_cmd.name == command.name
        and item.alter_table_cmd.subtype in (pb.AT_AlterColumnType, pb.AT_ColumnDefault)
    ]
    del tried.cmds[:]
    tried.cmds.extend((*without, *of_column))
    using = column_of(command).raw_default
    return {
        "column": command.name,
        "alter": sql(tried),
        "using": expression_sql(using) if column_of(command).HasField("raw_default") else None,
    }
