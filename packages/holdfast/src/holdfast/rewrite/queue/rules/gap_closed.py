"""Rule: rows that users add between a write's last batch and the constraint after it are filled like the others.

The old application goes on inserting rows without the new column until the constraint is there, NOT VALID. Then the
same write is repeated for the rows that fail it, and only then is it validated. Only where that is sure to be what
the author meant: one write of these columns in the queue, by an expression that reads none of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.backfill import backfill_step, can_be_batched
from holdfast.rewrite.facts import Facts, Relation
from holdfast.rewrite.names import quote
from holdfast.rewrite.statement import Statement
from holdfast.rewrite.steps import BackfillStep, Step, ValidateStep
from holdfast.rewrite.tree import (
    constraint_of,
    copy,
    expression_sql,
    find,
    parsed_expression,
    strings,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Required:
    """What a statement of the unit requires of every row: SQL that is true for a row that violates it."""

    table: Relation
    columns: frozenset[str]
    fails: str


def gap_closed(
    steps: Sequence[Step], *, unit: Sequence[Statement], queue: Sequence[Statement], facts: Facts
) -> tuple[Step, ...]:
    """Add to the steps a backfill of violating rows, before the first validation of its table."""
    fills = [
        fill
        for required in _required(unit, facts=facts)
        if (fill := _fill(required, queue, facts=facts)) is not None
    ]
    closed: list[Step] = []
    for step in steps:
        if isinstance(step, ValidateStep) and closed:
            closed += [fill for fill in fills if fill.table == step.table]
            fills = [fill for fill in fills if fill.table != step.table]
        closed.append(step)
    return tuple(closed)


def _required(unit: Sequence[Statement], *, facts: Facts) -> Iterator[_Required]:
    for statement in unit:
        node = statement.node
        table = facts.in_use(node.relation) if isinstance(node, pb.AlterTableStmt) else None
        if table is None or not isinstance(node, pb.AlterTableStmt):
            continue
        for item in node.cmds:
            yield from _of_action(item.alter_table_cmd, table, facts=facts)


def _of_action(command: pb.AlterTableCmd, table: Relation, *, facts: Facts) -> Iterator[_Required]:
    if command.subtype == pb.AT_SetNotNull:
        yield _not_null(table, command.name)
    if command.subtype != pb.AT_AddConstraint:
        return
    constraint = constraint_of(command)
    if constraint.contype == pb.CONSTR_NOTNULL:
        yield _not_null(table, strings(constraint.keys)[0])
    elif constraint.contype == pb.CONSTR_CHECK:
        named = find(constraint.raw_expr, pb.ColumnRef)
        columns = frozenset(strings(column.fields)[-1] for column in named)
        fails = f"NOT ({expression_sql(constraint.raw_expr)})"
        yield _Required(table=table, columns=columns, fails=fails)
    elif constraint.contype == pb.CONSTR_FOREIGN:
        yield from _foreign_key(constraint, table, facts=facts)


def _not_null(table: Relation, column: str) -> _Required:
    return _Required(table=table, columns=frozenset([column]), fails=f"{quote(column)} IS NULL")


def _foreign_key(
    constraint: pb.Constraint, table: Relation, *, facts: Facts
) -> Iterator[_Required]:
    """Write the condition for a foreign key with columns named on both sides; names are quoted."""
    referenced = facts.relation(constraint.pktable)
    own, theirs = strings(constraint.fk_attrs), strings(constraint.pk_attrs)
    if referenced is None or len(own) != len(theirs):
        return
    pairs = [
        f"referenced.{quote(other)} = {table.name}.{quote(column)}"
        for column, other in zip(own, theirs, strict=True)
    ]
    there = " AND ".join(f"{quote(column)} IS NOT NULL" for column in own)
    row = f"SELECT FROM {referenced.name} AS referenced WHERE {' AND '.join(pairs)}"
    fails = f"{there} AND NOT EXISTS ({row})"
    yield _Required(table=table, columns=frozenset(own), fails=fails)


def _fill(required: _Required, queue: Sequence[Statement], *, facts: Facts) -> BackfillStep | None:
    """Repeat the one write of these columns for the violating rows; None if there are several writes."""
    writes = [each.node for each in queue if _concerns(each, required)]
    if len(writes) != 1 or not isinstance(write := writes[0], pb.UpdateStmt):
        return None
    known = {**facts.relations, (write.relation.schemaname, write.relation.relname): required.table}
    if not can_be_batched(write, facts=replace(facts, relations=known)):
        return None
    again = copy(write)
    del again.target_list[:]
    again.target_list.extend(
        item for item in write.target_list if item.res_target.name in required.columns
    )
    written = {item.res_target.name for item in again.target_list}
    read = {
        strings(ref.fields)[-1] for item in again.target_list for ref in find(item, pb.ColumnRef)
    }
    if written & read:
        return None
    conditions = [parsed_expression(required.fails)]
    if write.HasField("where_clause"):
        conditions.insert(0, write.where_clause)
    both = pb.BoolExpr(boolop=pb.AND_EXPR, args=conditions)
    again.where_clause.CopyFrom(pb.Node(bool_expr=both))
    return backfill_step(again, table=required.table, now=facts.now)


def _concerns(statement: Statement, required: _Required) -> bool:
    """Whether it may write these columns."""
    node, name = statement.node, required.table.name
    if isinstance(node, pb.CallStmt | pb.DoStmt):
        return True
    if not isinstance(node, pb.CopyStmt | pb.InsertStmt | pb.MergeStmt | pb.UpdateStmt):
        return False
    if node.relation.relname != name.name or node.relation.schemaname not in ("", name.schema):
        return False
    if not isinstance(node, pb.UpdateStmt):
        return True
    return bool({item.res_target.name for item in node.target_list} & required.columns)
