"""A new column that is NOT NULL needs a value for the rows that are there."""

from collections.abc import Iterator

from postgast import pg_query_pb2 as pb

from holdfast.errors.statement import ColumnWithoutValues
from holdfast.rewrite.facts import Facts
from holdfast.rewrite.filled_column import is_serial
from holdfast.rewrite.statement import Statement, shortened
from holdfast.rewrite.tree import column_of, strings

WITH_VALUES = frozenset([pb.CONSTR_DEFAULT, pb.CONSTR_GENERATED, pb.CONSTR_IDENTITY])
NOT_NULL = frozenset([pb.CONSTR_NOTNULL, pb.CONSTR_PRIMARY])


def refuse_column_without_values(statement: Statement, *, facts: Facts) -> None:
    """Raises ColumnWithoutValues where PostgreSQL would fail on the first row."""
    node = statement.node
    table = facts.in_use(node.relation) if isinstance(node, pb.AlterTableStmt) else None
    if table is None or table.name not in facts.with_rows:
        return
    for column in columns_without_values(statement):
        is_there = table.column(column.colname) is not None
        if not is_there and _type(column) not in facts.defaulting_domains:
            raise ColumnWithoutValues(
                statement=shortened(statement.sql),
                relation=str(table.name),
                column=column.colname,
            )


def columns_without_values(statement: Statement) -> Iterator[pb.ColumnDef]:
    """New columns that are NOT NULL and say nothing about their values."""
    if not isinstance(statement.node, pb.AlterTableStmt):
        return
    for item in statement.node.cmds:
        column = column_of(item.alter_table_cmd)
        kinds = {constraint.constraint.contype for constraint in column.constraints}
        if kinds & NOT_NULL and not kinds & WITH_VALUES and not is_serial(column):
            yield column


def _type(column: pb.ColumnDef) -> str:
    return strings(column.type_name.names)[-1]
