"""Turns a write to all rows into batches along the table's key, if its rows are independent of each other."""

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from google.protobuf.message import Message
from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import Column, ConstraintKind, Facts, Relation, RelationKind
from holdfast.rewrite.names import quote
from holdfast.rewrite.same_in_batches import at_one_time, is_same_in_batches
from holdfast.rewrite.steps import BackfillStep
from holdfast.rewrite.tree import copy, find, parsed_expression, qualify, sql, strings

Write: TypeAlias = pb.UpdateStmt | pb.DeleteStmt

# Nodes on which a row's new values must not depend, or which treat the rows as a set.
DEPENDENT = (pb.SubLink, pb.WithClause, pb.CurrentOfExpr, pb.ParamRef)


def can_be_batched(node: Message, *, facts: Facts) -> bool:
    """Whether each row can be written by itself, in any transaction and any order."""
    if not isinstance(node, Write):
        return False
    table = facts.in_use(node.relation)
    if table is None or table.kind is not RelationKind.TABLE or table.descendants:
        return False
    if table.triggers or not table.row_key() or _reads_others(node):
        return False
    if not is_same_in_batches(node, table=table, facts=facts):
        return False
    if finds_rows_by_key(node, table=table):
        return False  # nothing to gain
    if isinstance(node, pb.DeleteStmt):
        return not table.referenced_by
    return not _assigned(node) & _columns_others_rely_on(table)


def finds_rows_by_key(node: Write, *, table: Relation) -> bool:
    """Whether a key or a unique index leads to the rows, which are few then."""
    key = {column.name for column in table.row_key()}
    return _picks_rows(node, table=table) or (bool(key) and key <= _columns_named_by_value(node))


def backfill_step(node: Write, *, table: Relation, now: str = "") -> BackfillStep:
    """Give the batches of a write that can be batched; all use the same `now`, if one is given."""
    key = table.row_key()
    write = at_one_time(node, now=now) if now else copy(node)
    qualify(write.relation, table.name)
    alias = write.relation.alias.aliasname or table.name.name
    row = f"({', '.join(f'{quote(alias)}.{quote(column.name)}' for column in key)})"
    up_to = f"{row} <= ({_parameters(key, start=1)})"
    beyond = f"{row} > ({_parameters(key, start=1)})"
    up_to_next = f"{row} <= ({_parameters(key, start=1 + len(key))})"
    return BackfillStep(
        table=table.name,
        key=tuple(column.name for column in key),
        sql=sql(write),
        first=_last_of_batch(table, key, beyond="", size=1),
        next=_last_of_batch(
            table,
            key,
            beyond=f" WHERE ({_names(key)}) > ({_parameters(key, start=1)})",
            size=1 + len(key),
        ),
        first_batch=_restricted(write, up_to),
        batch=_restricted(write, f"{beyond} AND {up_to_next}"),
    )


def _reads_others(node: Write) -> bool:
    sources = node.from_clause if isinstance(node, pb.UpdateStmt) else node.using_clause
    return (
        bool(sources)
        or len(node.returning_clause.exprs) > 0
        or any(any(find(node, kind)) for kind in DEPENDENT)
    )


def _columns_named_by_value(node: Write) -> set[str]:
    """Give columns that the condition compares with constants: a = 1 AND b IN (2, 3)."""
    condition = node.where_clause
    is_and = condition.HasField("bool_expr") and condition.bool_expr.boolop == pb.AND_EXPR
    terms = condition.bool_expr.args if is_and else [condition]
    return {
        term.a_expr.lexpr.column_ref.fields[-1].string.sval
        for term in terms
        if term.a_expr.kind in (pb.AEXPR_OP, pb.AEXPR_IN)
        and strings(term.a_expr.name) == ("=",)
        and term.a_expr.lexpr.HasField("column_ref")
        and not any(find(term.a_expr.rexpr, pb.ColumnRef))
    }


def _picks_rows(node: Write, *, table: Relation) -> bool:
    """Whether a unique key is compared with values, so that the index finds a few rows."""
    unique = {index.keys for index in table.indexes if index.tells_rows_apart}
    return any(
        strings(comparison.lexpr.column_ref.fields)[-1:] in unique
        for comparison in _conjuncts(node.where_clause)
        if comparison.name and strings(comparison.name) == ("=",)
    )


def _conjuncts(condition: pb.Node) -> Iterator[pb.A_Expr]:
    """Give the comparisons that must all be true."""
    if condition.HasField("a_expr"):
        yield condition.a_expr
    if condition.HasField("bool_expr") and condition.bool_expr.boolop == pb.AND_EXPR:
        for part in condition.bool_expr.args:
            yield from _conjuncts(part)


def _assigned(node: pb.UpdateStmt) -> set[str]:
    return {item.res_target.name for item in node.target_list}


def _columns_others_rely_on(table: Relation) -> set[str]:
    """Give columns of keys, unique indexes and foreign keys: rows that share these depend on each other."""
    kinds = (ConstraintKind.FOREIGN_KEY, ConstraintKind.EXCLUSION)
    return {
        *(name for index in table.indexes if index.is_unique for name in index.columns),
        *(name for found in table.constraints if found.kind in kinds for name in found.columns),
        *(name for reference in table.referenced_by for name in reference.columns),
    }


def _names(key: Sequence[Column]) -> str:
    return ", ".join(quote(column.name) for column in key)


def _parameters(key: Sequence[Column], *, start: int) -> str:
    return ", ".join(
        f"CAST(${number} AS {column.type})" for number, column in enumerate(key, start=start)
    )


def _last_of_batch(table: Relation, key: Sequence[Column], *, beyond: str, size: int) -> str:
    """Write the query for the key of a batch's last row; names are quoted, values are parameters."""
    names = _names(key)
    texts = ", ".join(f"CAST({quote(column.name)} AS text)" for column in key)
    downwards = ", ".join(f"{quote(column.name)} DESC" for column in key)
    batch = f"{table.name}{beyond} ORDER BY {names} LIMIT CAST(${size} AS bigint)"
    return (
        f"SELECT {texts} FROM (SELECT {names} FROM {batch}) AS batch"  # noqa: S608  # see above
        f" ORDER BY {downwards} LIMIT 1"
    )


def _restricted(node: Write, condition: str) -> str:
    """Give the write with one more condition."""
    conditions = [parsed_expression(condition)]
    if node.HasField("where_clause"):
        conditions.insert(0, node.where_clause)
    write = copy(node)
    write.where_clause.CopyFrom(pb.Node(bool_expr=pb.BoolExpr(boolop=pb.AND_EXPR, args=conditions)))
    return sql(write)
