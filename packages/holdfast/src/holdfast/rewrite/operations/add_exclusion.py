"""ADD EXCLUDE, and a key WITHOUT OVERLAPS: PostgreSQL builds the index under a lock, so they are refused."""

from collections.abc import Iterator

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.hazards import Hazard, LongWork, hazard
from holdfast.rewrite.rewriting import Action, ActionOperation, NewObject, names_of_constraint
from holdfast.rewrite.tree import constraint_of

EXCLUSION = LongWork(
    rows=(32,),
    work="reads every row to build the index of the constraint",
    instead="Create a table with the constraint and move the rows; there is no other way beside"
    " users.",
)


def hazards(action: Action) -> Iterator[Hazard]:
    """Give the hazard: PostgreSQL builds such an index in no other way."""
    constraint = constraint_of(action.command)
    if constraint.contype == pb.CONSTR_EXCLUSION or constraint.without_overlaps:
        yield from hazard(action.table, EXCLUSION)


def names(new: NewObject) -> Iterator[str]:
    """Give the names that PostgreSQL may choose for an unnamed one."""
    if constraint_of(new.node).contype == pb.CONSTR_EXCLUSION:
        yield from names_of_constraint(new)


OPERATION = ActionOperation(
    name="add_exclusion",
    rows=(32,),
    actions=frozenset([pb.AT_AddConstraint]),
    names=names,
    hazards=hazards,
)
