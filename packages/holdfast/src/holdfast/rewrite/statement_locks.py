"""The locks that a statement takes when it is run as it is written, on relations in use.

Only modes from SHARE UPDATE EXCLUSIVE up: every query takes the weaker ones. The table of cases in
`tests/plan/test_statement_locks.py` compares each line with pg_locks.
"""

from collections.abc import Callable, Iterator
from typing import Any

from google.protobuf.message import Message
from postgast import pg_query_pb2 as pb

from holdfast.rewrite.alter_table_locks import locks_of_alter_table
from holdfast.rewrite.domains import reads_tables_of_domain
from holdfast.rewrite.facts import Facts
from holdfast.rewrite.locks import (
    Lock,
    LockMode,
    lock,
    lock_each,
    lock_name,
    lock_with_descendants,
    strongest,
)
from holdfast.rewrite.referenced_objects import PARTS_OF_RELATIONS, object_relation
from holdfast.rewrite.statement import Statement
from holdfast.rewrite.tree import find, has_option, strings

MODES_OF_LOCK_TABLE = dict(enumerate(LockMode, start=1))


def locks_of(statement: Statement, *, facts: Facts) -> tuple[Lock, ...]:
    """The strongest lock per relation, in the order in which they are taken."""
    locks = LOCKS_OF.get(type(statement.node))
    return strongest(tuple(locks(statement.node, facts))) if locks else ()


def _of_create_index(node: pb.IndexStmt, facts: Facts) -> Iterator[Lock]:
    mode = LockMode.SHARE_UPDATE_EXCLUSIVE if node.concurrent else LockMode.SHARE
    yield from lock_with_descendants(node.relation, mode=mode, facts=facts)


def _of_create_table(node: pb.CreateStmt, facts: Facts) -> Iterator[Lock]:
    """A foreign key locks the table it references; a partition the table it belongs to."""
    is_partition = node.HasField("partbound")
    mode = LockMode.ACCESS_EXCLUSIVE if is_partition else LockMode.SHARE_UPDATE_EXCLUSIVE
    for parent in node.inh_relations:
        relation = facts.in_use(parent.range_var)
        yield from lock(relation, mode=mode)
        if is_partition and relation and relation.default_partition:
            yield from lock_name(relation.default_partition.name, mode=mode, facts=facts)
    for constraint in find(node, pb.Constraint):
        if constraint.contype == pb.CONSTR_FOREIGN:
            yield from lock(facts.in_use(constraint.pktable), mode=LockMode.SHARE_ROW_EXCLUSIVE)


def _of_drop(node: pb.DropStmt, facts: Facts) -> Iterator[Lock]:
    for item in node.objects:
        parts = strings(item.list.items)
        if node.remove_type == pb.OBJECT_INDEX:
            yield from _of_drop_index(parts, concurrently=node.concurrent, facts=facts)
        elif node.remove_type in PARTS_OF_RELATIONS:
            yield from lock(facts.in_use_named(parts[:-1]), mode=LockMode.ACCESS_EXCLUSIVE)
        elif object_relation(node.remove_type, parts):
            yield from _of_drop_relation(
                parts, cascade=node.behavior == pb.DROP_CASCADE, facts=facts
            )


def _of_drop_index(parts: tuple[str, ...], *, concurrently: bool, facts: Facts) -> Iterator[Lock]:
    """With the index of a partitioned table those of its partitions go."""
    index = facts.index_named(parts)
    if index is not None:
        mode = LockMode.SHARE_UPDATE_EXCLUSIVE if concurrently else LockMode.ACCESS_EXCLUSIVE
        yield from lock_name(index.table, mode=mode, facts=facts)
        table = facts.relations.get((index.table.schema, index.table.name))
        below = table.descendants if table is not None and index.is_partitioned else ()
        yield from lock_each(below, mode=mode, facts=facts)


def _of_drop_relation(parts: tuple[str, ...], *, cascade: bool, facts: Facts) -> Iterator[Lock]:
    """With it go its foreign keys, whose triggers sit on the referenced tables."""
    relation = facts.in_use_named(parts)
    if relation is None:
        return
    touched = [key.references for key in relation.foreign_keys() if key.references]
    touched += relation.descendants
    if relation.partition_of:
        touched.append(relation.partition_of)
    if cascade:
        touched += [reference.table for reference in relation.referenced_by]
        touched += [view.name for view in relation.dependent_views]
    yield from lock(relation, mode=LockMode.ACCESS_EXCLUSIVE)
    yield from lock_each(touched, mode=LockMode.ACCESS_EXCLUSIVE, facts=facts)


def _of_comment(node: pb.CommentStmt, facts: Facts) -> Iterator[Lock]:
    if node.objtype in PARTS_OF_RELATIONS - {pb.OBJECT_COLUMN}:
        return
    parts = strings(node.object.list.items)
    if node.objtype == pb.OBJECT_COLUMN:
        parts = parts[:-1]
    if parts:
        yield from lock(facts.in_use_named(parts), mode=LockMode.SHARE_UPDATE_EXCLUSIVE)


def _of_rename(node: pb.RenameStmt, facts: Facts) -> Iterator[Lock]:
    if node.rename_type == pb.OBJECT_COLUMN:
        yield from lock_with_descendants(node.relation, mode=LockMode.ACCESS_EXCLUSIVE, facts=facts)
    elif node.rename_type != pb.OBJECT_INDEX:
        yield from lock(facts.in_use(node.relation), mode=LockMode.ACCESS_EXCLUSIVE)


def _of_truncate(node: pb.TruncateStmt, facts: Facts) -> Iterator[Lock]:
    for item in node.relations:
        relation = facts.in_use(item.range_var)
        yield from lock_with_descendants(
            item.range_var, mode=LockMode.ACCESS_EXCLUSIVE, facts=facts
        )
        if relation and node.behavior == pb.DROP_CASCADE:
            referencing = [reference.table for reference in relation.referenced_by]
            yield from lock_each(referencing, mode=LockMode.ACCESS_EXCLUSIVE, facts=facts)


def _of_vacuum(node: pb.VacuumStmt, facts: Facts) -> Iterator[Lock]:
    """The locks of VACUUM and ANALYZE, on tables in use."""
    is_full = has_option(node.options, name="full")
    mode = LockMode.ACCESS_EXCLUSIVE if is_full else LockMode.SHARE_UPDATE_EXCLUSIVE
    for item in node.rels:
        yield from lock(facts.in_use(item.vacuum_relation.relation), mode=mode)


def _of_reindex(node: pb.ReindexStmt, facts: Facts) -> Iterator[Lock]:
    concurrently = has_option(node.params, name="concurrently")
    mode = LockMode.SHARE_UPDATE_EXCLUSIVE if concurrently else LockMode.SHARE
    index = facts.index_named((node.relation.schemaname, node.relation.relname))
    if index is not None:
        yield from lock_name(index.table, mode=mode, facts=facts)
    elif node.kind == pb.REINDEX_OBJECT_TABLE:
        yield from lock(facts.in_use(node.relation), mode=mode)


def _of_refresh(node: pb.RefreshMatViewStmt, facts: Facts) -> Iterator[Lock]:
    mode = LockMode.EXCLUSIVE if node.concurrent else LockMode.ACCESS_EXCLUSIVE
    yield from lock(facts.in_use(node.relation), mode=mode)


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


def _of_domain(node: pb.AlterDomainStmt, facts: Facts) -> Iterator[Lock]:
    """The tables that use the domain are all that its facts know."""
    if reads_tables_of_domain(node):
        for relation in facts.relations.values():
            yield from lock(relation, mode=LockMode.SHARE)


def _of_lock_table(node: pb.LockStmt, facts: Facts) -> Iterator[Lock]:
    mode = MODES_OF_LOCK_TABLE[node.mode]
    for item in node.relations:
        if mode.strength >= LockMode.SHARE_UPDATE_EXCLUSIVE.strength:
            yield from lock_with_descendants(item.range_var, mode=mode, facts=facts)


def _at_relation(
    mode: LockMode, *, field: str = "relation"
) -> Callable[[Any, Facts], Iterator[Lock]]:
    """For the many statements that lock one relation, the one that they name."""
    return lambda node, facts: lock(facts.in_use(getattr(node, field)), mode=mode)


LOCKS_OF: dict[type[Message], Callable[[Any, Facts], Iterator[Lock]]] = {
    pb.AlterDomainStmt: _of_domain,
    pb.AlterObjectSchemaStmt: _at_relation(LockMode.ACCESS_EXCLUSIVE),
    pb.AlterPolicyStmt: _at_relation(LockMode.ACCESS_EXCLUSIVE, field="table"),
    pb.AlterPublicationStmt: _of_publication,
    pb.AlterSeqStmt: _at_relation(LockMode.SHARE_ROW_EXCLUSIVE, field="sequence"),
    pb.AlterTableStmt: locks_of_alter_table,
    pb.ClusterStmt: _at_relation(LockMode.ACCESS_EXCLUSIVE),
    pb.CommentStmt: _of_comment,
    pb.CreatePolicyStmt: _at_relation(LockMode.ACCESS_EXCLUSIVE, field="table"),
    pb.CreatePublicationStmt: _of_publication,
    pb.CreateStatsStmt: _of_statistics,
    pb.CreateStmt: _of_create_table,
    pb.CreateTrigStmt: _at_relation(LockMode.SHARE_ROW_EXCLUSIVE),
    pb.DropStmt: _of_drop,
    pb.IndexStmt: _of_create_index,
    pb.LockStmt: _of_lock_table,
    pb.RefreshMatViewStmt: _of_refresh,
    pb.ReindexStmt: _of_reindex,
    pb.RenameStmt: _of_rename,
    pb.RuleStmt: _at_relation(LockMode.ACCESS_EXCLUSIVE),
    pb.TruncateStmt: _of_truncate,
    pb.VacuumStmt: _of_vacuum,
    pb.ViewStmt: _of_view,
}
