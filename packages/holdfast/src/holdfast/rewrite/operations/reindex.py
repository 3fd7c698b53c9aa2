"""REINDEX locks the index against its users: refused; CONCURRENTLY it runs as it is written."""

from collections.abc import Iterator

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import Facts
from holdfast.rewrite.hazards import Hazard, LongWork, hazard
from holdfast.rewrite.locks import LockMode
from holdfast.rewrite.rewriting import StatementOperation
from holdfast.rewrite.tree import has_option

REINDEX = LongWork(
    rows=(6,),
    work="builds the index anew",
    instead="Write REINDEX .. CONCURRENTLY, in an autocommit_block().",
)


def hazards(node: pb.ReindexStmt, facts: Facts) -> Iterator[Hazard]:
    """CONCURRENTLY has none."""
    if has_option(node.params, name="concurrently"):
        return
    written = (node.relation.schemaname, node.relation.relname)
    index = facts.index_named(written)
    table = facts.relations.get((index.table.schema, index.table.name) if index else written)
    yield from hazard(table, REINDEX, mode=LockMode.SHARE)


OPERATION = StatementOperation(
    name="reindex", rows=(6,), statements=(pb.ReindexStmt,), hazards=hazards
)
