"""Finds what waiting statements may have changed by the time another one's turn comes.

So a statement behind them is refused at once where nothing ahead of it can take the reason away: before anything of
its revision has been committed.
"""

from collections.abc import Iterable
from enum import Enum

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.queue.units import QueueEntry
from holdfast.rewrite.statement import PARTS_OF_RELATIONS, RELATIONS, Statement
from holdfast.rewrite.tree import column_of, constraint_of, find


class QueuedChange(Enum):
    """A change to a table that can make an online form of a later statement possible."""

    KEY = "it gets a key that tells its rows apart"
    LESS = "a column, a constraint, an index or a trigger goes or becomes another"


ANYTHING = frozenset(QueuedChange)
KEY, NOTHING = frozenset([QueuedChange.KEY]), frozenset[QueuedChange]()

ROWS_ONLY = (
    pb.CopyStmt,
    pb.DeleteStmt,
    pb.InsertStmt,
    pb.MergeStmt,
    pb.TruncateStmt,
    pb.UpdateStmt,
)
MORE_ONLY = (
    pb.AlterEnumStmt,
    pb.CommentStmt,
    pb.CreateEnumStmt,
    pb.CreateSeqStmt,
    pb.CreateStmt,
    pb.CreateTableAsStmt,
    pb.CreateTrigStmt,
)
ACTIONS_WITHOUT_CHANGE = frozenset(
    [
        pb.AT_ColumnDefault,
        pb.AT_DropNotNull,
        pb.AT_SetRelOptions,
        pb.AT_SetStatistics,
        pb.AT_ValidateConstraint,
    ]
)
KEYS = (pb.CONSTR_PRIMARY, pb.CONSTR_UNIQUE)
DELETING = (pb.CallStmt, pb.DeleteStmt, pb.DoStmt, pb.MergeStmt, pb.TruncateStmt)


def changes_ahead(
    ahead: Iterable[QueueEntry], *, to: frozenset[QualifiedName]
) -> frozenset[QueuedChange]:
    """Give what earlier statements may change of these tables; anything, if their effect cannot be known."""
    return frozenset(change for item in ahead for change in _changes(item, tables=to))


def may_delete_rows(statement: Statement) -> bool:
    """Whether it may delete rows: of its table, or of others by a cascade."""
    return any(any(find(statement.node, kind)) for kind in DELETING)


def is_conditional(statement: Statement) -> bool:
    """Whether it may do nothing at all, by IF NOT EXISTS."""
    node = statement.node
    if isinstance(node, pb.AlterTableStmt):
        return any(item.alter_table_cmd.missing_ok for item in node.cmds)
    return isinstance(node, pb.IndexStmt) and node.if_not_exists


def _changes(item: QueueEntry, *, tables: frozenset[QualifiedName]) -> frozenset[QueuedChange]:
    node = item.statement.node
    if isinstance(node, (*ROWS_ONLY, *MORE_ONLY)):
        return NOTHING
    if _is_about_relations(item) and not item.tables & tables:
        return NOTHING
    if isinstance(node, pb.IndexStmt):
        return KEY if node.unique else NOTHING
    if isinstance(node, pb.AlterTableStmt):
        return frozenset(change for each in node.cmds for change in _of_action(each))
    return ANYTHING


def _is_about_relations(item: QueueEntry) -> bool:
    """Whether it is about relations: not a type or function, which may be used anywhere, nor a table's rename."""
    node = item.statement.node
    if isinstance(node, pb.DropStmt):
        return node.remove_type in RELATIONS | PARTS_OF_RELATIONS
    return isinstance(node, pb.AlterTableStmt | pb.IndexStmt | pb.ViewStmt)


def _of_action(item: pb.Node) -> frozenset[QueuedChange]:
    command = item.alter_table_cmd
    if command.subtype in ACTIONS_WITHOUT_CHANGE:
        return NOTHING
    if command.subtype == pb.AT_SetNotNull:
        return KEY
    if command.subtype == pb.AT_AddConstraint:
        return KEY if constraint_of(command).contype in KEYS else NOTHING
    if command.subtype == pb.AT_AddColumn:
        constraints = [each.constraint for each in column_of(command).constraints]
        return KEY if any(found.contype in KEYS for found in constraints) else NOTHING
    return ANYTHING
