"""Makes the definitions of a column's dependents for its copy: the same syntax tree with another name.

So does PostgreSQL itself: it writes the definition down, changes the type, and reads it again.
"""

from collections.abc import Mapping
from typing import Any

import postgast
from google.protobuf.message import Message
from postgast import pg_query_pb2 as pb

from holdfast.rewrite.column_copy.facts import (
    DependentCheck,
    DependentIndex,
    DependentKey,
    DependentStatistics,
)
from holdfast.rewrite.rewriting import not_valid
from holdfast.rewrite.tree import add_strings, copy, find, parsed_constraint, strings

Names = Mapping[str, str]  # of each column that changes: of its copy


def prefixed(expression: pb.Node, *, by: str) -> pb.Node:
    """Give the expression with each column as one of a row variable: `new.a`."""
    of_row = copy(expression)
    for reference in find(of_row, pb.ColumnRef):
        column = strings(reference.fields)[-1]
        del reference.fields[:]
        add_strings(reference.fields, (by, column))
    return of_row


def check_of_copy(check: DependentCheck, *, name: str, copies: Names) -> pb.Constraint:
    """Give the CHECK on the copy, for new rows only."""
    constraint = parsed_constraint(check.definition, name=name)
    _rename(constraint, copies)
    return not_valid(constraint)


def index_of_copy(index: DependentIndex, *, name: str, copies: Names) -> pb.IndexStmt:
    """Give the CREATE INDEX that makes the same index on the copy of a column."""
    (parsed,) = postgast.parse(index.definition).stmts
    node, _ = columns_renamed(parsed.stmt.index_stmt, copies)
    node.idxname, node.table_space = name, index.tablespace or ""
    return node


def columns_renamed(node: pb.IndexStmt, copies: Names) -> tuple[pb.IndexStmt, Names]:
    """Give the CREATE INDEX on the copies, and those of them that are plain columns of it."""
    renamed = copy(node)
    named = {}
    for item in (*renamed.index_params, *renamed.index_including_params):
        column = item.index_elem.name
        if column in copies:
            named[column] = item.index_elem.name = copies[column]
    _rename(renamed, copies)
    return renamed, named


def key_of_copy(key: DependentKey, *, name: str, copies: Names) -> pb.Constraint:
    """Give the foreign key, for new rows only."""
    constraint = parsed_constraint(key.definition, name=name)
    if key.is_own:
        _rename_strings(constraint.fk_attrs, copies)
        _rename_strings(constraint.fk_del_set_cols, copies)
    if key.points_here:
        if not constraint.pk_attrs:
            add_strings(constraint.pk_attrs, key.referenced)
        _rename_strings(constraint.pk_attrs, copies)
    return not_valid(constraint)


def statistics_of_copy(
    found: DependentStatistics, *, name: str, copies: Names
) -> pb.CreateStatsStmt:
    """Give the CREATE STATISTICS that makes the same statistics on the copy of a column."""
    (parsed,) = postgast.parse(found.definition).stmts
    node = copy(parsed.stmt.create_stats_stmt)
    del node.defnames[:]
    add_strings(node.defnames, (found.schema, name))
    for element in find(node, pb.StatsElem):
        if element.name:
            # As an expression, which is written with its quotes: PostgreSQL takes it for the column.
            add_strings(element.expr.column_ref.fields, (element.name,))
            element.name = ""
    _rename(node, copies)
    return node


def _rename(node: Message, copies: Names) -> None:
    for reference in find(node, pb.ColumnRef):
        column = strings(reference.fields)[-1]
        if column in copies:
            del reference.fields[:]
            add_strings(reference.fields, (copies[column],))


def _rename_strings(nodes: Any, copies: Names) -> None:  # protobuf's repeated field
    for node in nodes:
        node.string.sval = copies.get(node.string.sval, node.string.sval)
