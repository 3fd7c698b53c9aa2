"""Rule: consecutive short statements on one table are one transaction, with the strongest lock first.

What fails takes back the whole unit. Only what is over in a moment whatever the statements before it have done: never
NOT VALID with its VALIDATE, never what builds or fills something.
"""

from collections.abc import Sequence
from dataclasses import replace

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.filled_column import has_volatile_default, is_serial
from holdfast.rewrite.locks import Lock
from holdfast.rewrite.online import locks_of
from holdfast.rewrite.queue.independence import relations_of
from holdfast.rewrite.queue.unit_steps import is_momentary
from holdfast.rewrite.queue.units import QueueEntry, Unit
from holdfast.rewrite.tree import column_of, strings

ALWAYS_MOMENTARY = frozenset(
    [
        pb.AT_ColumnDefault,
        pb.AT_DropNotNull,
        pb.AT_SetCompression,
        pb.AT_SetOptions,
        pb.AT_SetRelOptions,
        pb.AT_SetStatistics,
        pb.AT_SetStorage,
    ]
)
PLAIN = frozenset([pb.CONSTR_DEFAULT, pb.CONSTR_NOTNULL, pb.CONSTR_NULL])


def one_lock(units: Sequence[Unit]) -> tuple[Unit, ...]:
    """Join each to the one right before it, if both lock the same table and no other."""
    joined: list[Unit] = []
    for unit in units:
        table = _table_of(unit)
        if joined and table is not None and _table_of(joined[-1]) == table:
            entries = (*joined[-1].entries, *unit.entries)
            joined[-1] = replace(joined[-1], entries=entries)
        else:
            joined.append(unit)
    return tuple(joined)


def _table_of(unit: Unit) -> str | None:
    """Give the one table that all its entries lock for a moment."""
    tables = {_locked_by(entry) for entry in unit.entries}
    return tables.pop() if len(tables) == 1 else None


def _locked_by(entry: QueueEntry) -> str | None:
    facts = entry.facts
    if facts is None or not _is_always_momentary(entry):
        return None
    locks: tuple[Lock, ...] = locks_of(entry.statement, facts=facts)
    relations = relations_of(entry)
    if len(locks) != 1 or relations != {str(locks[0].relation)}:
        return None
    return str(locks[0].relation) if is_momentary(entry.statement, facts=facts) else None


def _is_always_momentary(entry: QueueEntry) -> bool:
    node = entry.statement.node
    if isinstance(node, pb.CommentStmt):
        return True
    if not isinstance(node, pb.AlterTableStmt) or node.objtype != pb.OBJECT_TABLE:
        return False
    return all(_is_always(item.alter_table_cmd, entry) for item in node.cmds)


def _is_always(command: pb.AlterTableCmd, entry: QueueEntry) -> bool:
    if command.subtype in ALWAYS_MOMENTARY:
        return True
    if command.subtype != pb.AT_AddColumn or entry.facts is None:
        return False
    column = column_of(command)
    kinds = {item.constraint.contype for item in column.constraints}
    return (
        kinds <= PLAIN
        and not is_serial(column)
        and not has_volatile_default(column, volatile=entry.facts.volatile_functions)
        and strings(column.type_name.names)[-1] not in entry.facts.constrained_domains
    )
