"""Decides whether ALTER DOMAIN reads the tables that use the domain."""

from postgast import pg_query_pb2 as pb


def reads_tables_of_domain(node: pb.AlterDomainStmt) -> bool:
    """Whether it reads them: a CHECK that is not NOT VALID, NOT NULL, and VALIDATE CONSTRAINT do."""
    if node.subtype == "C":
        return not getattr(node, "def").constraint.skip_validation
    return node.subtype in ("O", "V")
