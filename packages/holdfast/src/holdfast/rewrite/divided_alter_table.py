"""Divides an ALTER TABLE that changes a type and does other things into the statements that PostgreSQL makes of it.

PostgreSQL executes the actions of one statement by their kinds, whatever their order: what is dropped, the types,
columns that are added, keys, other constraints. Taken apart in an order that ends in the same, each gets the online
form that it has alone.
https://www.postgresql.org/docs/current/sql-altertable.html
"""

from collections.abc import Sequence
from dataclasses import replace

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.statement import Statement
from holdfast.rewrite.tree import column_of, constraint_of, copy, find, sql, strings

DROPS = frozenset([pb.AT_DropColumn, pb.AT_DropConstraint, pb.AT_DropNotNull])
KEYS = frozenset([pb.CONSTR_PRIMARY, pb.CONSTR_UNIQUE])


def divide_alter_table(statement: Statement) -> tuple[Statement, ...]:
    """Give the parts; the statement itself if it changes no type, or only types and what belongs to such columns."""
    node = statement.node
    if not isinstance(node, pb.AlterTableStmt) or node.objtype != pb.OBJECT_TABLE:
        return (statement,)
    commands = [item.alter_table_cmd for item in node.cmds]
    changes = [c for c in commands if c.subtype == pb.AT_AlterColumnType]
    changing = {c.name for c in changes}
    types = [c for c in commands if c in changes or _is_default_of(c, changing)]
    if not changes or len(types) == len(commands):
        return (statement,)
    read = {name for change in changes for name in _read_by(change)}
    dropped = {c.name for c in commands if c.subtype == pb.AT_DropColumn}
    others = [c for c in commands if c not in types]
    adds = [c for c in others if c.subtype == pb.AT_AddColumn]
    early = [
        c for c in adds if not column_of(c).constraints and column_of(c).colname not in dropped
    ]
    before = [c for c in others if _goes_before(c, read)]
    constraints = [c for c in others if c.subtype == pb.AT_AddConstraint]
    keys = [c for c in constraints if constraint_of(c).contype in KEYS]
    # A key may need a column that the same statement adds.
    late = [c for c in adds if c not in early]
    rest = [c for c in others if c not in (*adds, *before, *constraints)]
    one_by_one = ([c] for c in (*keys, *(c for c in constraints if c not in keys)))
    parts = [early, before, types, late, *one_by_one, rest]
    return tuple(_with(statement, part) for part in parts if part)


def _is_default_of(command: pb.AlterTableCmd, changing: set[str]) -> bool:
    return command.subtype == pb.AT_ColumnDefault and command.name in changing


def _read_by(change: pb.AlterTableCmd) -> tuple[str, ...]:
    """Give the columns that its USING names."""
    using = column_of(change).raw_default
    return tuple(strings(each.fields)[-1] for each in find(using, pb.ColumnRef) if each.fields)


def _goes_before(command: pb.AlterTableCmd, read: set[str]) -> bool:
    """Whether it removes what may stand in the way of a change, and what no change is made from."""
    return command.subtype in DROPS and not (
        command.subtype == pb.AT_DropColumn and command.name in read
    )


def _with(statement: Statement, commands: Sequence[pb.AlterTableCmd]) -> Statement:
    node = copy(statement.node)
    assert isinstance(node, pb.AlterTableStmt)  # noqa: S101  # its only caller has looked
    del node.cmds[:]
    for command in commands:
        node.cmds.add().alter_table_cmd.CopyFrom(command)
    return replace(statement, node=node, sql=sql(node))
