"""CREATE INDEX on a table in use becomes CREATE INDEX CONCURRENTLY, under its final name.

https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY
"""

from collections.abc import Iterator
from dataclasses import replace

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import Facts, Index, Relation
from holdfast.rewrite.hazards import Hazard, LongWork, by_its_owner, hazard
from holdfast.rewrite.index_build import (
    build_index,
    column_names,
    index_name,
    joined,
    locks_of_build,
)
from holdfast.rewrite.locks import Lock, LockMode
from holdfast.rewrite.names import QualifiedName, candidates, quote
from holdfast.rewrite.partitions.index import WantedIndex, index_steps
from holdfast.rewrite.rewriting import NewObject, StatementOperation
from holdfast.rewrite.statement import Statement
from holdfast.rewrite.steps import AutocommitStep, Step
from holdfast.rewrite.tree import columns_read, copy


def create_index(statement: Statement, facts: Facts) -> tuple[Step, ...] | None:
    """Give one build, whether or not the author wrote CONCURRENTLY."""
    node = statement.node
    if not isinstance(node, pb.IndexStmt):
        return None
    table = facts.relation(node.relation)
    if table is None or (table.is_new and not node.concurrent):
        return None
    if table.is_partitioned:
        return _on_partitions(node, table=table, facts=facts)
    existing = _existing(node, table=table, facts=facts)
    if existing is not None and existing.is_valid and node.if_not_exists:
        return ()
    if existing is not None and existing.is_valid and not node.concurrent:
        return None  # PostgreSQL says that the name is taken
    # After a kill an author's own CONCURRENTLY comes here again: the step asks who builds the index.
    build = copy(node)
    build.idxname = node.idxname or index_name(node, taken=facts.taken_in(table.name.schema))
    return (build_index(build, table=table), *_statistics(node, table=table))


def _on_partitions(node: pb.IndexStmt, *, table: Relation, facts: Facts) -> tuple[Step, ...] | None:
    """Build partition by partition; as written if there is nothing to build, or PostgreSQL refuses."""
    existing = _existing(node, table=table, facts=facts)
    if existing is not None and node.if_not_exists:
        return ()
    if existing is not None or node.concurrent or not node.relation.inh:
        return None
    if (node.unique and table.has_foreign_partition) or table.partition_of_another is not None:
        return None
    named = copy(node)
    named.idxname = node.idxname or index_name(node, taken=facts.taken_in(table.name.schema))
    steps = index_steps(WantedIndex(node=named), table=table, facts=facts)
    return (*steps, *_statistics(node, table=table))


INDEX_ON_PARTITIONED = LongWork(rows=(34,), work="builds an index on every partition", instead="")


def hazards(node: pb.IndexStmt, facts: Facts) -> Iterator[Hazard]:
    """Give the hazard of a partitioned table one partition of which belongs to another role."""
    table = facts.in_use(node.relation)
    is_whole = table is not None and node.relation.inh and table.partition_of_another is not None
    if table is not None and is_whole and _existing(node, table=table, facts=facts) is None:
        yield from hazard(
            table, by_its_owner(INDEX_ON_PARTITIONED, table=table), mode=LockMode.SHARE
        )


def _existing(node: pb.IndexStmt, *, table: Relation, facts: Facts) -> Index | None:
    named = facts.index_named((node.relation.schemaname, node.idxname))
    if named is not None and named.name.schema == table.name.schema:
        return named
    return next((index for index in table.indexes if index.name.name == node.idxname), None)


def _statistics(node: pb.IndexStmt, *, table: Relation) -> tuple[Step, ...]:
    """Analyze after an index on an expression, which has no statistics until then.

    https://www.postgresql.org/docs/current/sql-createindex.html (Notes)
    """
    if table.is_new or all(element.index_elem.name for element in node.index_params):
        return ()
    mode = LockMode.SHARE_UPDATE_EXCLUSIVE
    locks = tuple(Lock(mode=mode, relation=name) for name in (table.name, *table.descendants))
    return (AutocommitStep(sql=f"ANALYZE {table.name}", locks=locks),)


def names(new: NewObject) -> Iterator[str]:
    """Give its names; its own may be taken until another index goes, in the same moment."""
    if new.node.idxname and not new.is_of_partition:
        yield from candidates(new.node.idxname, label="new")
    else:
        yield from candidates(new.table, second=joined(column_names(new.node)), label="idx")


def leaves(table: Relation, node: pb.IndexStmt) -> Relation:
    """Give the facts with the index on its table."""
    elements = [item.index_elem for item in node.index_params]
    columns = tuple(element.name for element in elements if element.name)
    index = Index(
        name=QualifiedName(schema=table.name.schema, name=node.idxname),
        table=table.name,
        columns=(*columns, *columns_read(node)),
        keys=columns,
        definition="",
        is_unique=node.unique,
        has_expressions=len(columns) < len(elements) or node.HasField("where_clause"),
        is_partitioned=table.is_partitioned,
    )
    return replace(table, indexes=(*table.indexes, index))


def way_back(node: pb.IndexStmt) -> tuple[str, ...]:
    """Drop an index that has a name."""
    schema = f"{quote(node.relation.schemaname)}." if node.relation.schemaname else ""
    return (f"DROP INDEX CONCURRENTLY {schema}{quote(node.idxname)}",) if node.idxname else ()


OPERATION = StatementOperation(
    name="create_index",
    rows=(1, 2, 3, 4, 34),
    statements=(pb.IndexStmt,),
    apply=create_index,
    locks=locks_of_build,
    hazards=hazards,
    names=names,
    is_outside=lambda node: bool(node.concurrent),
    leaves=leaves,
    way_back=way_back,
    looks_at_partitions=lambda _: True,
)
