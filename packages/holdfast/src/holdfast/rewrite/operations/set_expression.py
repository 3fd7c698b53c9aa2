"""SET EXPRESSION of a stored column writes every row anew, under a lock: refused."""

from collections.abc import Iterator

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.hazards import Hazard, LongWork, hazard
from holdfast.rewrite.rewriting import Action, ActionOperation

COMPUTED_ANEW = LongWork(
    rows=(20,),
    work="rewrites every row to compute the column",
    instead="Add a second generated column and exchange the names in a later revision.",
)


def hazards(action: Action) -> Iterator[Hazard]:
    """As if the column were added anew."""
    yield from hazard(action.table, COMPUTED_ANEW)


OPERATION = ActionOperation(
    name="set_expression",
    rows=(20,),
    actions=frozenset([pb.AT_SetExpression]),
    hazards=hazards,
)
