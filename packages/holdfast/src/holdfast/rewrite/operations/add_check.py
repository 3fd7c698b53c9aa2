"""ADD CHECK: added NOT VALID, then validated, which reads the table beside its users.

https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-NOTES
"""

from collections.abc import Iterator

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.rewriting import (
    Action,
    ActionOperation,
    NewObject,
    Split,
    added_not_valid,
    names_of_check,
    names_of_constraint,
)
from holdfast.rewrite.tree import constraint_of


def add_check(action: Action) -> Split | None:
    """Give two transactions: in one, the first lock would be held through the scan."""
    if action.command.subtype != pb.AT_AddConstraint:
        return None
    constraint = constraint_of(action.command)
    if constraint.contype != pb.CONSTR_CHECK or not constraint.is_enforced:
        return None
    if constraint.skip_validation:
        return None
    return added_not_valid(action, constraint)


def names(new: NewObject) -> Iterator[str]:
    """Give the names that PostgreSQL may choose for an unnamed one; on Citus we choose."""
    if constraint_of(new.node).contype == pb.CONSTR_CHECK:
        yield from names_of_constraint(new)
        yield from names_of_check(new, constraint_of(new.node))


OPERATION = ActionOperation(
    name="add_check",
    rows=(9, 10),
    actions=frozenset([pb.AT_AddConstraint]),
    apply=add_check,
    names=names,
)
