"""An UPDATE or DELETE of all rows becomes batches, each of them committed; see `backfill`."""

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.backfill import backfill_step, can_be_batched
from holdfast.rewrite.facts import Facts
from holdfast.rewrite.rewriting import StatementOperation
from holdfast.rewrite.statement import Statement
from holdfast.rewrite.steps import Step


def write_all_rows(statement: Statement, facts: Facts) -> tuple[Step, ...] | None:
    """Give the batches; as written if its rows depend on each other: PostgreSQL locks them until the end."""
    node = statement.node
    if not isinstance(node, pb.UpdateStmt | pb.DeleteStmt):
        return None
    table = facts.in_use(node.relation)
    if table is None or not can_be_batched(node, facts=facts):
        return None
    return (backfill_step(node, table=table, now=facts.now),)


OPERATION = StatementOperation(
    name="write_all_rows",
    rows=(41,),
    statements=(
        pb.DeleteStmt,
        pb.UpdateStmt,
    ),
    apply=write_all_rows,
)
