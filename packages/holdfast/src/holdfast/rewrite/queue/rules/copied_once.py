"""Rule: consecutive type changes on one table, with the defaults of those columns, are one ALTER TABLE.

So the rows are copied once, and a default that is dropped before and set after is never missing. Not where a USING
reads a column that an earlier one has changed: it means the new value.
"""

from collections.abc import Sequence
from dataclasses import replace

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.queue.units import QueueEntry, Unit
from holdfast.rewrite.statement import Statement
from holdfast.rewrite.tree import column_of, copy, find, sql, strings

OF_COPIES = frozenset([pb.AT_AlterColumnType, pb.AT_ColumnDefault])


def copied_once(units: Sequence[Unit]) -> tuple[Unit, ...]:
    """Join each to the one right before it, if the two can be one statement."""
    joined: list[Unit] = []
    for unit in units:
        if joined and _are_one((*joined[-1].entries, *unit.entries)):
            joined[-1] = replace(joined[-1], entries=(*joined[-1].entries, *unit.entries))
        else:
            joined.append(unit)
    return tuple(part for unit in joined for part in _without_bystanders(unit))


def as_one(statements: Sequence[Statement]) -> tuple[Statement, ...]:
    """Give the statements of a unit, with those that this rule has joined as one."""
    merged: list[Statement] = []
    for statement in statements:
        if merged and _can_be_one((merged[-1], statement)):
            merged[-1] = _merged(merged[-1], statement)
        else:
            merged.append(statement)
    return tuple(merged)


def _are_one(entries: Sequence[QueueEntry]) -> bool:
    return _can_be_one([entry.statement for entry in entries])


def _can_be_one(statements: Sequence[Statement]) -> bool:
    nodes = [_only_of_copies(statement) for statement in statements]
    tables = {(node.relation.schemaname, node.relation.relname) for node in nodes if node}
    if None in nodes or len(tables) != 1 or len({s.exemption for s in statements}) != 1:
        return False
    changed: set[str] = set()
    for node in nodes:
        commands = [item.alter_table_cmd for item in node.cmds] if node else []
        types = [c for c in commands if c.subtype == pb.AT_AlterColumnType]
        read = {name for c in types for name in (c.name, *_read_by(c))}
        if read & changed:
            return False
        changed |= {c.name for c in types}
    return True


def _only_of_copies(statement: Statement) -> pb.AlterTableStmt | None:
    node = statement.node
    if not isinstance(node, pb.AlterTableStmt) or node.objtype != pb.OBJECT_TABLE:
        return None
    subtypes = {item.alter_table_cmd.subtype for item in node.cmds}
    return node if subtypes <= OF_COPIES else None


def _read_by(command: pb.AlterTableCmd) -> set[str]:
    using = column_of(command).raw_default
    return {strings(found.fields)[-1] for found in find(using, pb.ColumnRef) if found.fields}


def _merged(one: Statement, other: Statement) -> Statement:
    node = copy(one.node)
    assert isinstance(node, pb.AlterTableStmt)  # noqa: S101  # see _only_of_copies
    assert isinstance(other.node, pb.AlterTableStmt)  # noqa: S101  # see _only_of_copies
    node.cmds.extend(other.node.cmds)
    return replace(one, node=node, sql=sql(node))


def _without_bystanders(unit: Unit) -> tuple[Unit, ...]:
    """Leave out defaults of columns whose type stays: they need not be with the others."""
    if len(unit.entries) == 1 or not _are_one(unit.entries):
        return (unit,)
    changing = {
        item.alter_table_cmd.name
        for entry in unit.entries
        for item in getattr(entry.statement.node, "cmds", ())
        if item.alter_table_cmd.subtype == pb.AT_AlterColumnType
    }
    names = {
        item.alter_table_cmd.name
        for entry in unit.entries
        for item in getattr(entry.statement.node, "cmds", ())
    }
    if changing and names <= changing:
        return (unit,)
    return tuple(replace(unit, entries=(entry,)) for entry in unit.entries)
