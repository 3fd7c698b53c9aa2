"""REFRESH MATERIALIZED VIEW becomes CONCURRENTLY, during which the view can be read.

https://www.postgresql.org/docs/current/sql-refreshmaterializedview.html
"""

from collections.abc import Iterator

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import Facts, Relation
from holdfast.rewrite.hazards import Hazard, LongWork, hazard
from holdfast.rewrite.locks import Lock, LockMode, lock
from holdfast.rewrite.queue.queued_changes import QueuedChange
from holdfast.rewrite.rewriting import StatementOperation
from holdfast.rewrite.statement import Statement
from holdfast.rewrite.steps import AutocommitStep, Step
from holdfast.rewrite.tree import copy, qualify, sql

REFRESH = LongWork(
    rows=(45,),
    work="computes the view anew",
    instead="Create a unique index on columns of the view: then it is refreshed CONCURRENTLY.",
    lifted_by=frozenset([QueuedChange.KEY]),
)


def refresh_materialized_view(statement: Statement, facts: Facts) -> tuple[Step, ...] | None:
    """Give the step; PostgreSQL requires a unique index on columns of the view for it."""
    node = statement.node
    if not isinstance(node, pb.RefreshMatViewStmt) or node.skip_data:
        return None
    view = facts.in_use(node.relation)
    if view is None or not (node.concurrent or _can_be_compared(view)):
        return None
    refresh = copy(node)
    refresh.concurrent = True
    qualify(refresh.relation, view.name)
    return (
        AutocommitStep(sql=sql(refresh), locks=tuple(locks(refresh, facts)), scans=(view.name,)),
    )


def _can_be_compared(view: Relation) -> bool:
    return view.is_populated and any(
        index.is_unique and index.is_valid and not index.has_expressions for index in view.indexes
    )


def locks(node: pb.RefreshMatViewStmt, facts: Facts) -> Iterator[Lock]:
    """Give the lock on the view, which can be read during CONCURRENTLY."""
    mode = LockMode.EXCLUSIVE if node.concurrent else LockMode.ACCESS_EXCLUSIVE
    yield from lock(facts.in_use(node.relation), mode=mode)


def hazards(node: pb.RefreshMatViewStmt, facts: Facts) -> Iterator[Hazard]:
    """Give the hazard of a view without a unique index by which to compare its rows."""
    if not node.concurrent:
        yield from hazard(facts.relation(node.relation), REFRESH)


OPERATION = StatementOperation(
    name="refresh_materialized_view",
    rows=(45,),
    statements=(pb.RefreshMatViewStmt,),
    apply=refresh_materialized_view,
    locks=locks,
    hazards=hazards,
)
