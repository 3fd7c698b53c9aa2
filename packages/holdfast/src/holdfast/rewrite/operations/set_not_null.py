"""SET NOT NULL: the rows are read beside the table's users, and the lock lasts a moment."""

from collections.abc import Iterator

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.names import candidates
from holdfast.rewrite.not_null import not_null_steps, proofs
from holdfast.rewrite.rewriting import (
    Action,
    ActionOperation,
    NewObject,
    Split,
    alter_table,
    dropped_constraints,
    names_of_constraint,
    transaction,
)
from holdfast.rewrite.tree import constraint_of, strings


def set_not_null(action: Action) -> Split | None:
    """Give the steps, for ALTER COLUMN .. SET NOT NULL and for ADD CONSTRAINT .. NOT NULL of PostgreSQL 18."""
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
    """Run SET NOT NULL first if the same statement drops the CHECK that proves it."""
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


def names(new: NewObject) -> Iterator[str]:
    """Give TABLE_COLUMN_not_null, which PostgreSQL 18 gives to the constraint, and a proof has for a while."""
    if new.node.subtype == pb.AT_SetNotNull:
        yield from candidates(new.table, second=new.node.name, label="not_null")
    elif constraint_of(new.node).contype == pb.CONSTR_NOTNULL:
        constraint = constraint_of(new.node)
        yield from names_of_constraint(new)
        for column in strings(constraint.keys):
            yield from candidates(new.table, second=column, label="not_null")


OPERATION = ActionOperation(
    name="set_not_null",
    rows=(14, 15, 16),
    actions=frozenset([pb.AT_AddConstraint, pb.AT_SetNotNull]),
    apply=set_not_null,
    names=names,
)
