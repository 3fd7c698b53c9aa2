"""Statements that PostgreSQL refuses inside a transaction run outside of one, as written."""

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import Facts
from holdfast.rewrite.rewriting import StatementOperation
from holdfast.rewrite.statement import Statement
from holdfast.rewrite.statement_locks import locks_of
from holdfast.rewrite.steps import AutocommitStep, Step
from holdfast.rewrite.tree import definition, has_option

ALWAYS_OUTSIDE = (
    pb.AlterSystemStmt,
    pb.CreateSubscriptionStmt,
    pb.CreateTableSpaceStmt,
    pb.CreatedbStmt,
    pb.DropSubscriptionStmt,
    pb.DropTableSpaceStmt,
    pb.DropdbStmt,
)
PERHAPS_OUTSIDE = (
    pb.AlterTableStmt,
    pb.ClusterStmt,
    pb.DropStmt,
    pb.IndexStmt,
    pb.ReindexStmt,
    pb.VacuumStmt,
)


def outside_transaction(statement: Statement, facts: Facts) -> tuple[Step, ...] | None:
    """VACUUM, CLUSTER and REINDEX of all tables, what is CONCURRENTLY, and what concerns the cluster."""
    if not is_refused_inside(statement):
        return None
    return (AutocommitStep(sql=statement.sql, locks=locks_of(statement, facts=facts)),)


def is_refused_inside(statement: Statement) -> bool:
    """Whether PostgreSQL refuses it inside a transaction."""
    node = statement.node
    if isinstance(node, pb.VacuumStmt):
        return bool(node.is_vacuumcmd)
    if isinstance(node, pb.ClusterStmt):
        return not node.HasField("relation")
    if isinstance(node, pb.ReindexStmt):
        return not node.HasField("relation") or has_option(node.params, name="concurrently")
    if isinstance(node, pb.DropStmt | pb.IndexStmt):
        return bool(node.concurrent)
    if isinstance(node, pb.AlterTableStmt):
        return any(_detaches_concurrently(item.alter_table_cmd) for item in node.cmds)
    return isinstance(node, ALWAYS_OUTSIDE)


def _detaches_concurrently(command: pb.AlterTableCmd) -> bool:
    detaches = command.subtype == pb.AT_DetachPartition
    return detaches and bool(definition(command).partition_cmd.concurrent)


OPERATION = StatementOperation(
    name="outside_transaction",
    rows=(4, 6, 38),
    statements=(*ALWAYS_OUTSIDE, *PERHAPS_OUTSIDE),
    apply=outside_transaction,
)
