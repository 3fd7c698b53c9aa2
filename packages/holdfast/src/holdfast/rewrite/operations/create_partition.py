"""CREATE TABLE .. PARTITION OF with a default partition: a CHECK proves that none of its rows belong to the new one.

Then the table in a moment, in which the CHECK goes again.
"""

from collections.abc import Iterator
from dataclasses import replace

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import Facts
from holdfast.rewrite.locks import strongest
from holdfast.rewrite.operations.create_table import create_table, locks
from holdfast.rewrite.partitions.bounds import (
    added_partition,
    check_steps,
    default_partition,
    drop_check,
)
from holdfast.rewrite.partitions.names import names_of_partition
from holdfast.rewrite.rewriting import NewObject, StatementOperation
from holdfast.rewrite.statement import Statement
from holdfast.rewrite.steps import Step, TransactionStep


def create_partition(statement: Statement, facts: Facts) -> tuple[Step, ...] | None:
    """Give the steps; None if no default partition is in use."""
    node = statement.node
    added = added_partition(node) if isinstance(node, pb.CreateStmt) else None
    parent = facts.relation(added[0]) if added is not None else None
    if added is None or parent is None:
        return None
    bound = facts.bound_of(parent, partition=added[1].relname)
    facts = facts.with_partitions_of(parent)
    default = default_partition(parent, facts=facts)
    is_there = facts.relation(added[1]) is not None
    if bound is None or default is None or is_there:
        return None
    as_written = TransactionStep(
        sql=(statement.sql,), locks=strongest(tuple(locks(statement.node, facts)))
    )
    first, *rest = create_table(statement, facts) or (as_written,)
    assert isinstance(first, TransactionStep)  # noqa: S101  # the table comes first
    created = replace(first, sql=(*first.sql, drop_check(default, facts=facts)))
    return (*check_steps(default, condition=bound.excluded, facts=facts), created, *rest)


def names(new: NewObject) -> Iterator[str]:
    """Give the names of what is made for a partition; of other tables PostgreSQL chooses all names itself."""
    if new.node.HasField("partbound") and new.relations:
        yield from names_of_partition(new.table, new.relations)


OPERATION = StatementOperation(
    name="create_partition",
    rows=(37,),
    statements=(pb.CreateStmt,),
    apply=create_partition,
    names=names,
    looks_at_partitions=lambda node: bool(node.HasField("partbound")),
)
