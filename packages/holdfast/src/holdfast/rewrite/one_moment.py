"""Puts a revision's one moment in the place of now() in its statements, defaults of columns included.

A plain revision is one transaction, in which now() is one moment. What is committed in parts has to be told it. What a
trigger or a function of the database's own calls cannot be told.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from google.protobuf.message import Message
from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import Facts
from holdfast.rewrite.same_in_batches import OF_TRANSACTION, at_one_time
from holdfast.rewrite.statement import Statement
from holdfast.rewrite.tree import column_of, copy, find, parsed_expression, sql

Written = TypeVar("Written", bound=Message)
TIMED = (
    pb.AlterTableStmt,
    pb.CreateTableAsStmt,
    pb.DeleteStmt,
    pb.InsertStmt,
    pb.MergeStmt,
    pb.SelectStmt,
    pb.UpdateStmt,
)


def at_its_moment(statement: Statement, *, facts: Facts | None, now: str) -> Statement:
    """Give the statement with the moment in it, or itself if it asks for no time; defaults only with `facts`."""
    node = statement.node
    if not now:
        return statement
    if isinstance(node, pb.AlterTableStmt):
        changed: Message = node if facts is None else _columns_at(node, facts=facts, now=now)
    elif isinstance(node, TIMED):
        told = node if facts is None else _with_defaults(node, facts=facts)
        changed = at_one_time(told, now=now, functions=OF_TRANSACTION)
    else:
        return statement
    return statement if changed == node else replace(statement, node=changed, sql=sql(changed))


def _columns_at(node: pb.AlterTableStmt, *, facts: Facts, now: str) -> pb.AlterTableStmt:
    """Give existing rows of a new column the moment, and later ones the default as it is written."""
    changed = copy(node)
    del changed.cmds[:]
    table = facts.relation(node.relation)
    for item in node.cmds:
        added = changed.cmds.add()
        added.CopyFrom(item)
        if item.alter_table_cmd.subtype != pb.AT_AddColumn:
            continue
        column = column_of(added.alter_table_cmd)
        if table is not None and table.column(column.colname) is not None:
            continue  # IF NOT EXISTS
        for constraint in (each.constraint for each in column.constraints):
            if constraint.contype != pb.CONSTR_DEFAULT:
                continue
            default = copy(constraint.raw_expr)
            told = at_one_time(constraint, now=now, functions=OF_TRANSACTION)
            if told == constraint:
                continue
            constraint.CopyFrom(told)
            command = pb.AlterTableCmd(
                subtype=pb.AT_ColumnDefault, name=column.colname, behavior=pb.DROP_RESTRICT
            )
            getattr(command, "def").CopyFrom(default)
            changed.cmds.add().alter_table_cmd.CopyFrom(command)
    return changed


def _with_defaults(node: Written, *, facts: Facts) -> Written:
    """Write out defaults that ask for the time, if one of the statement's writes leaves them out."""
    told = copy(node)
    for write in list(find(told, pb.InsertStmt)):
        table, timed = _timed(write.relation, facts)
        if timed:
            _fill_insert(write, table, timed)
            _fill_targets(write.on_conflict_clause.target_list, timed)
    for update in list(find(told, pb.UpdateStmt)):
        _fill_targets(update.target_list, _timed(update.relation, facts)[1])
    for merge in list(find(told, pb.MergeStmt)):
        table, timed = _timed(merge.relation, facts)
        for clause in (each.merge_when_clause for each in merge.merge_when_clauses):
            _fill_merge(clause, table, timed)
    return told


def _timed(written: pb.RangeVar, facts: Facts) -> tuple[tuple[str, ...], dict[str, pb.Node]]:
    """Give the columns of a table, and the defaults that ask for the time."""
    table = facts.relation(written)
    if table is None:
        return (), {}
    return tuple(column.name for column in table.columns), {
        column.name: parsed_expression(column.time_default)
        for column in table.columns
        if column.time_default
    }


def _fill_insert(write: pb.InsertStmt, columns: tuple[str, ...], timed: dict[str, pb.Node]) -> None:
    if not write.HasField("select_stmt"):  # DEFAULT VALUES
        empty = pb.SelectStmt(limit_option=pb.LIMIT_OPTION_DEFAULT, op=pb.SETOP_NONE)
        empty.values_lists.add().list.SetInParent()
        write.select_stmt.select_stmt.CopyFrom(empty)
    parts = list(_parts(write.select_stmt.select_stmt))
    width = _width(parts[0])
    if not write.cols:
        if width is None:
            return  # SELECT *: how many columns that is, nobody knows here
        for name in columns[:width]:
            write.cols.add().res_target.name = name
    named = [target.res_target.name for target in write.cols]
    for row in (row.list for part in parts for row in part.values_lists):
        _fill_values(named, row.items, timed)
    for name, default in timed.items():
        if name not in named:
            write.cols.add().res_target.name = name
            for part in parts:
                _add(part, default)


def _parts(select: pb.SelectStmt) -> Iterator[pb.SelectStmt]:
    """Give the queries that UNION and its kin combine; usually the one itself."""
    if select.op == pb.SETOP_NONE:
        yield select
    else:
        yield from _parts(select.larg)
        yield from _parts(select.rarg)


def _width(select: pb.SelectStmt) -> int | None:
    if select.values_lists:
        return len(select.values_lists[0].list.items)
    has_star = any(_is_star(target.res_target.val) for target in select.target_list)
    return None if has_star else len(select.target_list)


def _is_star(value: pb.Node) -> bool:
    return any(field.HasField("a_star") for field in value.column_ref.fields)


def _add(select: pb.SelectStmt, value: pb.Node) -> None:
    for row in select.values_lists:
        row.list.items.add().CopyFrom(value)
    if not select.values_lists:
        select.target_list.add().res_target.val.CopyFrom(value)


def _fill_values(named: Sequence[str], values: Any, timed: dict[str, pb.Node]) -> None:
    """Replace DEFAULT among values."""
    for name, value in zip(named, values, strict=False):
        if value.HasField("set_to_default") and name in timed:
            value.CopyFrom(timed[name])


def _fill_targets(targets: Any, timed: dict[str, pb.Node]) -> None:
    """Replace SET column = DEFAULT."""
    for target in (each.res_target for each in targets):
        if target.val.HasField("set_to_default") and target.name in timed:
            target.val.CopyFrom(timed[target.name])


def _fill_merge(
    clause: pb.MergeWhenClause, columns: tuple[str, ...], timed: dict[str, pb.Node]
) -> None:
    if clause.command_type == pb.CMD_UPDATE:
        _fill_targets(clause.target_list, timed)
    if clause.command_type != pb.CMD_INSERT:
        return
    if not clause.target_list:
        for name in columns[: len(clause.values)]:
            clause.target_list.add().res_target.name = name
    named = [target.res_target.name for target in clause.target_list]
    _fill_values(named, clause.values, timed)
    for name, default in timed.items():
        if name not in named:
            clause.target_list.add().res_target.name = name
            clause.values.add().CopyFrom(default)
