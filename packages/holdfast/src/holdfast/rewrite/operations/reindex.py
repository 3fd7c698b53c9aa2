"""REINDEX of a table or an index in use becomes REINDEX CONCURRENTLY; refused if PostgreSQL has no such form.

https://www.postgresql.org/docs/current/sql-reindex.html#SQL-REINDEX-CONCURRENTLY
"""

from collections.abc import Iterator

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import ConstraintKind, Facts, Index, Relation
from holdfast.rewrite.hazards import Hazard, LongWork, hazard
from holdfast.rewrite.locks import Lock, LockMode, lock, lock_name
from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.rewriting import StatementOperation
from holdfast.rewrite.statement import Statement
from holdfast.rewrite.steps import ReindexStep, Step
from holdfast.rewrite.tree import copy, has_option, sql

REINDEX = LongWork(
    rows=(6,),
    work="builds the index anew",
    instead="PostgreSQL builds the index of an exclusion constraint only under this lock. Name the other indexes one by"
    " one, and allow this one in a quiet hour.",
)

REINDEX_ALL = LongWork(
    rows=(6,),
    work="builds every index anew, one after the other,",
    instead="Name the tables: REINDEX TABLE of each becomes REINDEX CONCURRENTLY, beside users.",
)


def reindex(statement: Statement, facts: Facts) -> tuple[Step, ...] | None:
    """Give the step; None without such a form: an exclusion constraint's index, a schema, a system catalog."""
    node = statement.node
    if not isinstance(node, pb.ReindexStmt) or not node.HasField("relation"):
        return None
    written = (node.relation.schemaname, node.relation.relname)
    index = facts.index_named(written)
    table = facts.relations.get((index.table.schema, index.table.name) if index else written)
    is_new = table is not None and table.is_new and not has_option(node.params, name="concurrently")
    if table is None or is_new or _is_exclusion(index, table):
        return None
    if index is not None:
        return (_step(node, name=index.name, table=table),)
    # Of a table, those that are invalid are left out with a warning; as it is written they are built.
    invalid = [found for found in table.indexes if not found.is_valid and not found.is_partitioned]
    each = copy(node)
    each.kind = pb.REINDEX_OBJECT_INDEX
    return (
        _step(node, name=table.name, table=table),
        *(_step(each, name=found.name, table=table) for found in invalid),
    )


def _step(node: pb.ReindexStmt, *, name: QualifiedName, table: Relation) -> ReindexStep:
    concurrently = copy(node)
    if not has_option(node.params, name="concurrently"):
        option = pb.DefElem(defname="concurrently", defaction=pb.DEFELEM_UNSPEC)
        concurrently.params.add().def_elem.CopyFrom(option)
    concurrently.relation.schemaname, concurrently.relation.relname = name.schema, name.name
    tables = (table.name, *table.descendants)
    mode = LockMode.SHARE_UPDATE_EXCLUSIVE
    return ReindexStep(
        tables=tables,
        sql=sql(concurrently),
        locks=tuple(Lock(mode=mode, relation=each) for each in tables),
        scans=tables,
    )


def _is_exclusion(index: Index | None, table: Relation) -> bool:
    """Whether the index, or one of the table's, belongs to an exclusion: PostgreSQL skips it with a warning."""
    exclusions = {
        found.name for found in table.constraints if found.kind is ConstraintKind.EXCLUSION
    }
    if index is None:
        return bool(exclusions)
    return index.constraint in exclusions


def hazards(node: pb.ReindexStmt, facts: Facts) -> Iterator[Hazard]:
    """Give the hazards of a REINDEX; with CONCURRENTLY it has none."""
    if has_option(node.params, name="concurrently"):
        return
    if not node.HasField("relation"):
        yield Hazard(relation=None, rows=0, mode=LockMode.SHARE, doing=REINDEX_ALL)
        return
    written = (node.relation.schemaname, node.relation.relname)
    index = facts.index_named(written)
    table = facts.relations.get((index.table.schema, index.table.name) if index else written)
    yield from hazard(table, REINDEX, mode=LockMode.SHARE)


def is_concurrent(node: pb.ReindexStmt) -> bool:
    """Whether the author wrote CONCURRENTLY."""
    return has_option(node.params, name="concurrently")


def locks(node: pb.ReindexStmt, facts: Facts) -> Iterator[Lock]:
    """Give the lock on the table, or on that of the index."""
    mode = LockMode.SHARE_UPDATE_EXCLUSIVE if is_concurrent(node) else LockMode.SHARE
    index = facts.index_named((node.relation.schemaname, node.relation.relname))
    if index is not None:
        yield from lock_name(index.table, mode=mode, facts=facts)
    elif node.kind == pb.REINDEX_OBJECT_TABLE:
        yield from lock(facts.in_use(node.relation), mode=mode)


def is_outside(node: pb.ReindexStmt) -> bool:
    """Whether it must run outside a transaction: with CONCURRENTLY, or of a schema or a database."""
    return is_concurrent(node) or not node.HasField("relation")


OPERATION = StatementOperation(
    name="reindex",
    rows=(6,),
    statements=(pb.ReindexStmt,),
    apply=reindex,
    locks=locks,
    hazards=hazards,
    is_outside=is_outside,
)
