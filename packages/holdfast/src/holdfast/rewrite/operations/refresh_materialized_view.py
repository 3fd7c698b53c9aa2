"""REFRESH MATERIALIZED VIEW becomes CONCURRENTLY, which reads of the view do not wait for.

https://www.postgresql.org/docs/current/sql-refreshmaterializedview.html
"""

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import Facts, Relation
from holdfast.rewrite.rewriting import StatementRewrite, locks_of_node
from holdfast.rewrite.statement import Statement
from holdfast.rewrite.steps import AutocommitStep, Step
from holdfast.rewrite.tree import copy, qualify, sql


def refresh_materialized_view(statement: Statement, facts: Facts) -> tuple[Step, ...] | None:
    """PostgreSQL wants a unique index on columns of the view for it."""
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
        AutocommitStep(
            sql=sql(refresh), locks=locks_of_node(refresh, facts=facts), scans=(view.name,)
        ),
    )


def _can_be_compared(view: Relation) -> bool:
    return view.is_populated and any(
        index.is_unique and index.is_valid and not index.has_expressions for index in view.indexes
    )


REWRITE = StatementRewrite(
    name="refresh_materialized_view", rows=(45,), apply=refresh_materialized_view
)
