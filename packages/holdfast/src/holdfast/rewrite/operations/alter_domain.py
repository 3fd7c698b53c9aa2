"""ALTER DOMAIN is refused if it reads the tables that use the domain; NOT VALID holds for new rows, in a moment."""

from collections.abc import Iterator
from dataclasses import replace

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.domains import reads_tables_of_domain
from holdfast.rewrite.facts import Facts
from holdfast.rewrite.hazards import Hazard, LongWork, hazard
from holdfast.rewrite.locks import Lock, LockMode, lock
from holdfast.rewrite.queue.queued_changes import QueuedChange
from holdfast.rewrite.rewriting import StatementOperation

DOMAIN_CHECK = LongWork(
    rows=(42,),
    work="reads every row of each table that uses the domain",
    instead="Write NOT VALID, which holds for new rows at once, and give each table that uses the domain a CHECK that"
    " says the same of its column: that is validated beside users, and proves the rows that are there. PostgreSQL does"
    " not look at it: VALIDATE of the domain reads all tables once more, while all of them are locked.",
    lifted_by=frozenset([QueuedChange.LESS]),
)
NOT_NULL = replace(
    DOMAIN_CHECK,
    instead="Write ADD CHECK (VALUE IS NOT NULL) NOT VALID, which holds for new rows at once, and SET NOT NULL on the"
    " column of each table that uses the domain: that is done beside users, and proves the rows that are there.",
)
VALIDATE = replace(
    DOMAIN_CHECK,
    instead="Leave the constraint NOT VALID, as which it holds for new rows, and give each table that uses the domain a"
    " CHECK that says the same of its column: that is validated beside users, and proves the rows that are there.",
)
BY_SUBTYPE = {"C": DOMAIN_CHECK, "O": NOT_NULL, "V": VALIDATE}


def hazards(node: pb.AlterDomainStmt, facts: Facts) -> Iterator[Hazard]:
    """Give the hazards of the tables that use the domain, which are all that its facts contain."""
    if reads_tables_of_domain(node):
        for table in {relation.oid: relation for relation in facts.relations.values()}.values():
            yield from hazard(table, BY_SUBTYPE[node.subtype], mode=LockMode.SHARE)


def locks(node: pb.AlterDomainStmt, facts: Facts) -> Iterator[Lock]:
    """Give the locks on the tables that use the domain, if they are read."""
    if reads_tables_of_domain(node):
        for relation in facts.relations.values():
            yield from lock(relation, mode=LockMode.SHARE)


OPERATION = StatementOperation(
    name="alter_domain", rows=(42,), statements=(pb.AlterDomainStmt,), locks=locks, hazards=hazards
)
