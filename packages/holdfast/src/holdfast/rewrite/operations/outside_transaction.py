"""Statements about the cluster, not a table: PostgreSQL refuses them inside a transaction; they run as written."""

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.rewriting import StatementOperation

OPERATION = StatementOperation(
    name="outside_transaction",
    rows=(4, 6, 38),
    statements=(
        pb.AlterSystemStmt,
        pb.CreateSubscriptionStmt,
        pb.CreateTableSpaceStmt,
        pb.CreatedbStmt,
        pb.DropSubscriptionStmt,
        pb.DropTableSpaceStmt,
        pb.DropdbStmt,
    ),
    is_outside=lambda _: True,
)
