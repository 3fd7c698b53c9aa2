"""SET EXPRESSION of a stored column rewrites every row under a lock: refused. A virtual one stores no values."""

from collections.abc import Iterator

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.facts import ConstraintKind
from holdfast.rewrite.hazards import Hazard, LongWork, hazard
from holdfast.rewrite.rewriting import Action, ActionOperation

COMPUTED_ANEW = LongWork(
    rows=(20,),
    work="rewrites every row to compute the column",
    instead="DROP EXPRESSION, which keeps the values, then write them anew with an UPDATE and keep them current by a"
    " trigger.",
)


def hazards(action: Action) -> Iterator[Hazard]:
    """Give the hazard as if the column were added anew; of a virtual one only constraints are checked."""
    column = action.table.column(action.command.name)
    is_constrained = any(
        action.command.name in found.columns and found.kind is not ConstraintKind.FOREIGN_KEY
        for found in action.table.constraints
    )
    if column is None or not column.is_virtual or column.not_null or is_constrained:
        yield from hazard(action.table, COMPUTED_ANEW)


OPERATION = ActionOperation(
    name="set_expression",
    rows=(20,),
    actions=frozenset([pb.AT_SetExpression]),
    hazards=hazards,
)
