"""DROP INDEX on a table in use becomes DROP INDEX CONCURRENTLY, one index after the other.

https://www.postgresql.org/docs/current/sql-dropindex.html
"""

from collections.abc import Iterator

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import Facts, Index
from holdfast.rewrite.locks import Lock, LockMode, lock_each, lock_name
from holdfast.rewrite.rewriting import StatementOperation
from holdfast.rewrite.statement import Statement
from holdfast.rewrite.steps import DropIndexStep, Step
from holdfast.rewrite.tree import strings


def drop_index(statement: Statement, facts: Facts) -> tuple[Step, ...] | None:
    """Give a step per index; as written if PostgreSQL refuses, or nobody uses the table."""
    node = statement.node
    if not isinstance(node, pb.DropStmt) or node.remove_type != pb.OBJECT_INDEX:
        return None
    named = [facts.index_named(strings(item.list.items)) for item in node.objects]
    found = [index for index in named if index is not None]
    if len(found) < len(named) and not node.missing_ok:
        return None
    if not found or node.behavior == pb.DROP_CASCADE:
        return None
    if not all(can_be_dropped(index) for index in found):
        return None
    if not node.concurrent and all(index.table in facts.new for index in found):
        return None
    return tuple(drop_index_step(index, facts=facts) for index in found)


def can_be_dropped(index: Index) -> bool:
    """Whether DROP INDEX CONCURRENTLY takes it: not a constraint's, and not one over partitions."""
    return index.constraint is None and not index.is_partitioned


def drop_index_step(index: Index, *, facts: Facts) -> DropIndexStep:
    """Drop one index, beside the users of its table."""
    lock = Lock(mode=LockMode.SHARE_UPDATE_EXCLUSIVE, relation=index.table)
    return DropIndexStep(
        schema=index.name.schema,
        index=index.name.name,
        table=index.table,
        sql=f"DROP INDEX CONCURRENTLY {index.name}",
        locks=() if index.table in facts.new else (lock,),
    )


def locks(node: pb.DropStmt, facts: Facts) -> Iterator[Lock]:
    """Give the lock on its table; indexes of partitions are dropped with that of the partitioned table."""
    if node.remove_type != pb.OBJECT_INDEX:
        return
    mode = LockMode.SHARE_UPDATE_EXCLUSIVE if node.concurrent else LockMode.ACCESS_EXCLUSIVE
    for item in node.objects:
        index = facts.index_named(strings(item.list.items))
        if index is not None:
            yield from lock_name(index.table, mode=mode, facts=facts)
            table = facts.relations.get((index.table.schema, index.table.name))
            below = table.descendants if table is not None and index.is_partitioned else ()
            yield from lock_each(below, mode=mode, facts=facts)


OPERATION = StatementOperation(
    name="drop_index",
    rows=(5,),
    statements=(pb.DropStmt,),
    apply=drop_index,
    locks=locks,
    is_outside=lambda node: bool(node.concurrent),
)
