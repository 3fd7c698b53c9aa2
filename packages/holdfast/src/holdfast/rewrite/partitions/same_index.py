"""Decides whether an index of a partition is what PostgreSQL would build for the index of the table.

After CompareIndexInfo() in PostgreSQL's src/backend/catalog/index.c: order within a column and storage do not count.
"""

import postgast
from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import Index
from holdfast.rewrite.tree import copy, sql


def is_same_index(index: Index, node: pb.IndexStmt) -> bool:
    """Whether the index equals that of the statement, apart from table and name."""
    return bool(index.definition) and _essence(parsed_index(index)) == _essence(node)


def parsed_index(index: Index) -> pb.IndexStmt:
    """Parse the tree of an index, from what pg_get_indexdef() writes."""
    (statement,) = postgast.parse(index.definition).stmts
    return copy(statement.stmt.index_stmt)


def _essence(node: pb.IndexStmt) -> str:
    bare = pb.IndexStmt(
        idxname="i",
        unique=node.unique,
        access_method=node.access_method,
        nulls_not_distinct=node.nulls_not_distinct,
        index_params=node.index_params,
        index_including_params=node.index_including_params,
    )
    bare.relation.CopyFrom(pb.RangeVar(relname="t", inh=True, relpersistence="p"))
    if node.HasField("where_clause"):
        bare.where_clause.CopyFrom(node.where_clause)
    for item in bare.index_params:
        item.index_elem.ordering = pb.SORTBY_DEFAULT
        item.index_elem.nulls_ordering = pb.SORTBY_NULLS_DEFAULT
    return sql(bare)
