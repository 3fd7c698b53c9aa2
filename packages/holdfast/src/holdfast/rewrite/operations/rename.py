"""RENAME of a table or a column takes a name away from running code: refused, unless the revision has added it."""

from collections.abc import Iterator

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import Facts
from holdfast.rewrite.hazards import BreakingChange
from holdfast.rewrite.locks import Lock, LockMode, lock, lock_with_descendants
from holdfast.rewrite.new_relations import new_after_rename
from holdfast.rewrite.rewriting import StatementOperation


def breaks(node: pb.RenameStmt, facts: Facts) -> Iterator[BreakingChange]:
    """Give the names that it takes away, of a table in use or its columns; no query names an index or constraint."""
    relation = facts.in_use(node.relation) if node.HasField("relation") else None
    if relation is None:
        return
    column = relation.column(node.subname)
    if node.rename_type == pb.OBJECT_COLUMN and column is not None and column.is_new:
        return  # no query can name what the revision itself has added
    if node.rename_type == pb.OBJECT_COLUMN and node.relation_type == pb.OBJECT_TABLE:
        yield BreakingChange(
            relation=str(relation.name),
            breaks=f"every query that names the column {node.subname}",
            instead="Run with both names until the old release is gone: holdfast run --expand, and then"
            " holdfast finish.",
        )
    elif node.rename_type == pb.OBJECT_TABLE:
        yield BreakingChange(
            relation=str(relation.name),
            breaks=f"every query that names the table {node.relation.relname}",
            instead="Run with both names until the old release is gone: holdfast run --expand, and then"
            " holdfast finish.",
        )


def locks(node: pb.RenameStmt, facts: Facts) -> Iterator[Lock]:
    """Give its locks: a column is renamed in all inheriting tables; renaming an index blocks no user of the table."""
    if node.rename_type == pb.OBJECT_COLUMN:
        yield from lock_with_descendants(node.relation, mode=LockMode.ACCESS_EXCLUSIVE, facts=facts)
    elif node.rename_type != pb.OBJECT_INDEX:
        yield from lock(facts.in_use(node.relation), mode=LockMode.ACCESS_EXCLUSIVE)


OPERATION = StatementOperation(
    name="rename",
    rows=(27, 28),
    statements=(pb.RenameStmt,),
    locks=locks,
    breaks=breaks,
    new_after=new_after_rename,
)
