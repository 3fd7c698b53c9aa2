"""ALTER DOMAIN that reads the tables which use the domain is refused; NOT VALID holds for new rows, in a moment."""

from collections.abc import Iterator

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.domains import reads_tables_of_domain
from holdfast.rewrite.facts import Facts
from holdfast.rewrite.hazards import Hazard, LongWork, hazard
from holdfast.rewrite.locks import Lock, LockMode, lock
from holdfast.rewrite.queued_changes import QueuedChange
from holdfast.rewrite.rewriting import StatementOperation

DOMAIN_CHECK = LongWork(
    rows=(42,),
    work="reads every row of each table that uses the domain",
    instead="Write NOT VALID, which holds for new rows at once, and allow VALIDATE CONSTRAINT in a"
    " quiet hour.",
    lifted_by=frozenset([QueuedChange.LESS]),
)


def hazards(node: pb.AlterDomainStmt, facts: Facts) -> Iterator[Hazard]:
    """The tables that use the domain are all that its facts know."""
    if reads_tables_of_domain(node):
        for table in {relation.oid: relation for relation in facts.relations.values()}.values():
            yield from hazard(table, DOMAIN_CHECK, mode=LockMode.SHARE)


def locks(node: pb.AlterDomainStmt, facts: Facts) -> Iterator[Lock]:
    """On the tables that use the domain, where they are read."""
    if reads_tables_of_domain(node):
        for relation in facts.relations.values():
            yield from lock(relation, mode=LockMode.SHARE)


OPERATION = StatementOperation(
    name="alter_domain", rows=(42,), statements=(pb.AlterDomainStmt,), locks=locks, hazards=hazards
)
