"""Lists the statements that run as written because they lock a relation in use for a moment only, with their locks.

Only modes from SHARE UPDATE EXCLUSIVE up, as everywhere: every query takes the weaker ones.
"""

from collections.abc import Callable, Iterator
from typing import Any

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.alter_table_locks import locks_of_alter_table
from holdfast.rewrite.facts import Facts
from holdfast.rewrite.locks import Lock, LockMode, lock, lock_each, lock_with_descendants
from holdfast.rewrite.new_relations import new_after_alter_table, new_after_move
from holdfast.rewrite.rewriting import StatementOperation
from holdfast.rewrite.statement import PARTS_OF_RELATIONS
from holdfast.rewrite.tree import find, strings

MODES_OF_LOCK_TABLE = dict(enumerate(LockMode, start=1))


def _of_comment(node: pb.CommentStmt, facts: Facts) -> Iterator[Lock]:
    if node.objtype in PARTS_OF_RELATIONS - {pb.OBJECT_COLUMN}:
        return
    parts = strings(node.object.list.items)
    if node.objtype == pb.OBJECT_COLUMN:
        parts = parts[:-1]
    if parts:
        yield from lock(facts.in_use_named(parts), mode=LockMode.SHARE_UPDATE_EXCLUSIVE)


def _of_truncate(node: pb.TruncateStmt, facts: Facts) -> Iterator[Lock]:
    for item in node.relations:
        relation = facts.in_use(item.range_var)
        yield from lock_with_descendants(
            item.range_var, mode=LockMode.ACCESS_EXCLUSIVE, facts=facts
        )
        if relation and node.behavior == pb.DROP_CASCADE:
            referencing = [reference.table for reference in relation.referenced_by]
            yield from lock_each(referencing, mode=LockMode.ACCESS_EXCLUSIVE, facts=facts)


def _of_view(node: pb.ViewStmt, facts: Facts) -> Iterator[Lock]:
    if node.replace:
        yield from lock(facts.in_use(node.view), mode=LockMode.ACCESS_EXCLUSIVE)


def _of_statistics(node: pb.CreateStatsStmt, facts: Facts) -> Iterator[Lock]:
    for item in node.relations:
        yield from lock(facts.in_use(item.range_var), mode=LockMode.SHARE_UPDATE_EXCLUSIVE)


def _of_publication(
    node: pb.CreatePublicationStmt | pb.AlterPublicationStmt, facts: Facts
) -> Iterator[Lock]:
    for relation in find(node, pb.RangeVar):
        yield from lock(facts.in_use(relation), mode=LockMode.SHARE_UPDATE_EXCLUSIVE)


def _of_lock_table(node: pb.LockStmt, facts: Facts) -> Iterator[Lock]:
    mode = MODES_OF_LOCK_TABLE[node.mode]
    for item in node.relations:
        if mode.strength >= LockMode.SHARE_UPDATE_EXCLUSIVE.strength:
            yield from lock_with_descendants(item.range_var, mode=mode, facts=facts)


def _at_relation(
    mode: LockMode, *, field: str = "relation"
) -> Callable[[Any, Facts], Iterator[Lock]]:
    """Make the record of a statement that locks the one relation that it names."""
    return lambda node, facts: lock(facts.in_use(getattr(node, field)), mode=mode)


_ACCESS_EXCLUSIVE, _SHARE_ROW_EXCLUSIVE = LockMode.ACCESS_EXCLUSIVE, LockMode.SHARE_ROW_EXCLUSIVE

_NEW_AFTER = {
    pb.AlterObjectSchemaStmt: new_after_move,
    pb.AlterTableStmt: new_after_alter_table,
}
OPERATIONS = tuple(
    StatementOperation(
        name="momentary", statements=(kind,), locks=locks, new_after=_NEW_AFTER.get(kind)
    )
    for kind, locks in (
        (pb.AlterPolicyStmt, _at_relation(_ACCESS_EXCLUSIVE, field="table")),
        (pb.AlterPublicationStmt, _of_publication),
        (pb.AlterSeqStmt, _at_relation(_SHARE_ROW_EXCLUSIVE, field="sequence")),
        (pb.AlterTableStmt, locks_of_alter_table),
        (pb.CommentStmt, _of_comment),
        (pb.CreatePolicyStmt, _at_relation(_ACCESS_EXCLUSIVE, field="table")),
        (pb.CreatePublicationStmt, _of_publication),
        (pb.RuleStmt, _at_relation(_ACCESS_EXCLUSIVE)),
        (pb.CreateStatsStmt, _of_statistics),
        (pb.CreateTrigStmt, _at_relation(_SHARE_ROW_EXCLUSIVE)),
        (pb.ViewStmt, _of_view),
        (pb.LockStmt, _of_lock_table),
        (pb.AlterObjectSchemaStmt, _at_relation(_ACCESS_EXCLUSIVE)),
        (pb.TruncateStmt, _of_truncate),
    )
)
