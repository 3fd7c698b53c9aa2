"""SET NOT NULL: the rows are read while the table is in use, and the lock lasts a moment."""

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.not_null import not_null_steps, proofs
from holdfast.rewrite.rewriting import (
    Action,
    ActionOperation,
    Split,
    alter_table,
    dropped_constraints,
    transaction,
)
from holdfast.rewrite.tree import constraint_of, strings


def set_not_null(action: Action) -> Split | None:
    """As ALTER COLUMN .. SET NOT NULL, and as ADD CONSTRAINT .. NOT NULL of PostgreSQL 18."""
    named = _column_and_name(action.command)
    if named is None:
        return None
    column, name = named
    proven_by = proofs(action, column=column)
    if proven_by and not name:
        return _with_proof(action, proven_by=proven_by)
    steps = not_null_steps(action, column=column, name=name)
    return Split(after=steps) if steps else None


def _with_proof(action: Action, *, proven_by: tuple[str, ...]) -> Split | None:
    """A proof that the same statement drops is gone before it is needed: so NOT NULL goes first."""
    if set(proven_by) - dropped_constraints(action.statement):
        return None
    step = transaction(alter_table(action.table.name, action.command), facts=action.facts)
    return Split(before=(step,))


def _column_and_name(command: pb.AlterTableCmd) -> tuple[str, str] | None:
    if command.subtype == pb.AT_SetNotNull:
        return command.name, ""
    if command.subtype != pb.AT_AddConstraint:
        return None
    constraint = constraint_of(command)
    if constraint.contype != pb.CONSTR_NOTNULL or constraint.skip_validation:
        return None
    return strings(constraint.keys)[0], constraint.conname


OPERATION = ActionOperation(
    name="set_not_null",
    rows=(14, 15, 16),
    actions=frozenset([pb.AT_AddConstraint, pb.AT_SetNotNull]),
    apply=set_not_null,
)
