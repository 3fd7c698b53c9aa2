"""VALIDATE CONSTRAINT runs as its author wrote it: without lock_timeout, and not under another lock."""

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.rewriting import Action, ActionOperation, Split, validate


def validate_constraint(action: Action) -> Split | None:
    """Put it after everything else of the statement."""
    if action.command.subtype != pb.AT_ValidateConstraint:
        return None
    constraint = action.table.constraint(action.command.name)
    if constraint is None or constraint.is_validated:
        return None
    step = validate(action.table, table=action.table.name, constraint=constraint.name)
    return Split(after=(step,))


OPERATION = ActionOperation(
    name="validate_constraint",
    rows=(10,),
    actions=frozenset([pb.AT_ValidateConstraint]),
    apply=validate_constraint,
)
