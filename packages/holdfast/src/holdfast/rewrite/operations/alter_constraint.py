"""ALTER CONSTRAINT ENFORCED reads every row of both tables under a lock: refused."""

from collections.abc import Iterator

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.hazards import Hazard, LongWork, hazard
from holdfast.rewrite.rewriting import Action, ActionOperation
from holdfast.rewrite.tree import definition

CONSTRAINT_ENFORCED = LongWork(
    rows=(47,),
    work="reads every row of both tables",
    instead="Drop the constraint and add it again.",
)


def hazards(action: Action) -> Iterator[Hazard]:
    """Give the hazard of a constraint that becomes ENFORCED."""
    change = definition(action.command).atalter_constraint
    if change.alter_enforceability and change.is_enforced:
        yield from hazard(action.table, CONSTRAINT_ENFORCED)


OPERATION = ActionOperation(
    name="alter_constraint",
    rows=(47,),
    actions=frozenset([pb.AT_AlterConstraint]),
    hazards=hazards,
)
