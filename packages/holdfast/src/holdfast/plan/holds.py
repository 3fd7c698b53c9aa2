"""What holds a lock for as long as a table is large, and what to write instead of it.

The rows are those of the table of operations in docs/how-it-works.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from postgast import pg_query_pb2 as pb

from holdfast.plan.facts import Facts, Relation
from holdfast.plan.locks import LockMode
from holdfast.plan.names import QualifiedName
from holdfast.plan.statement import Statement


@dataclass(frozen=True, slots=True, kw_only=True)
class LongWork:
    """A kind of work under a lock: what it does, and what to write instead of it."""

    rows: tuple[int, ...]
    work: str
    instead: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A lock on a relation in use that lasts as long as its rows are many."""

    relation: QualifiedName
    rows: int
    mode: LockMode
    doing: LongWork


def hold(
    relation: Relation | None, doing: LongWork, *, mode: LockMode = LockMode.ACCESS_EXCLUSIVE
) -> Iterator[Hold]:
    """The hold on a relation in use; none on one that is not there or new."""
    if relation is not None and not relation.is_new:
        yield Hold(relation=relation.name, rows=relation.rows, mode=mode, doing=doing)


INDEX_ON_PARTITIONED = LongWork(
    rows=(34,),
    work="builds an index on every partition",
    instead="Write CREATE INDEX ON ONLY for the parent, CREATE INDEX CONCURRENTLY on every"
    " partition and ALTER INDEX .. ATTACH PARTITION for each of them.",
)
REINDEX = LongWork(
    rows=(6,),
    work="builds the index anew",
    instead="Write REINDEX .. CONCURRENTLY, in an autocommit_block().",
)
REPACK = LongWork(
    rows=(44,),
    work="copies every row into a new file",
    instead="Repack the table with pg_repack, outside of the migrations.",
)
REFRESH = LongWork(
    rows=(45,),
    work="computes the view anew",
    instead="Create a unique index on columns of the view: then it is refreshed CONCURRENTLY.",
)


def holds_of_statement(statement: Statement, *, facts: Facts) -> tuple[Hold, ...]:
    """Of a statement that is run as it is written. ALTER TABLE: see `alter_table_holds`."""
    node = statement.node
    if isinstance(node, pb.IndexStmt):
        return tuple(hold(facts.relation(node.relation), INDEX_ON_PARTITIONED, mode=LockMode.SHARE))
    if isinstance(node, pb.ReindexStmt):
        return tuple(_of_reindex(node, facts))
    if isinstance(node, pb.ClusterStmt):
        return tuple(hold(facts.relation(node.relation), REPACK))
    if isinstance(node, pb.VacuumStmt):
        return tuple(_of_vacuum(node, facts))
    if isinstance(node, pb.RefreshMatViewStmt) and not node.concurrent:
        return tuple(hold(facts.relation(node.relation), REFRESH))
    return ()


def _of_reindex(node: pb.ReindexStmt, facts: Facts) -> Iterator[Hold]:
    if any(option.def_elem.defname == "concurrently" for option in node.params):
        return
    written = (node.relation.schemaname, node.relation.relname)
    index = facts.index_named(written)
    table = facts.relations.get((index.table.schema, index.table.name) if index else written)
    yield from hold(table, REINDEX, mode=LockMode.SHARE)


def _of_vacuum(node: pb.VacuumStmt, facts: Facts) -> Iterator[Hold]:
    if any(option.def_elem.defname == "full" for option in node.options):
        for item in node.rels:
            yield from hold(facts.relation(item.vacuum_relation.relation), REPACK)
