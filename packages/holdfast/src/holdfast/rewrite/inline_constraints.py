"""Separates constraints written at a column, each with the DEFERRABLE and NOT ENFORCED that follow it.

The parser gives those as nodes of their own; taken apart from their constraint they make no sense.
"""

from collections.abc import Callable

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.tree import add_strings, copy

FOLLOWERS = frozenset(
    [
        pb.CONSTR_ATTR_DEFERRABLE,
        pb.CONSTR_ATTR_DEFERRED,
        pb.CONSTR_ATTR_ENFORCED,
        pb.CONSTR_ATTR_IMMEDIATE,
        pb.CONSTR_ATTR_NOT_DEFERRABLE,
        pb.CONSTR_ATTR_NOT_ENFORCED,
    ]
)


def take_out(
    column: pb.ColumnDef, *, wanted: Callable[[pb.Constraint], bool]
) -> tuple[pb.ColumnDef, tuple[pb.Constraint, ...]]:
    """Give the column without the wanted constraints, and these as constraints of the table."""
    rest = copy(column)
    del rest.constraints[:]
    taken: list[pb.Constraint] = []
    follows_taken = False
    for item in column.constraints:
        constraint = item.constraint
        if constraint.contype not in FOLLOWERS:
            follows_taken = wanted(constraint)
            if follows_taken:
                taken.append(_of_table(constraint, column=column.colname))
        elif follows_taken:
            _fold(constraint.contype, into=taken[-1])
        if not follows_taken:
            rest.constraints.add().CopyFrom(item)
    return rest, tuple(taken)


def _of_table(constraint: pb.Constraint, *, column: str) -> pb.Constraint:
    whole = copy(constraint)
    if constraint.contype == pb.CONSTR_FOREIGN:
        add_strings(whole.fk_attrs, (column,))
    elif constraint.contype in (pb.CONSTR_UNIQUE, pb.CONSTR_PRIMARY):
        add_strings(whole.keys, (column,))
    return whole


def _fold(follower: int, *, into: pb.Constraint) -> None:
    if follower in (pb.CONSTR_ATTR_DEFERRABLE, pb.CONSTR_ATTR_DEFERRED):
        into.deferrable = True
    if follower == pb.CONSTR_ATTR_DEFERRED:
        into.initdeferred = True
    if follower == pb.CONSTR_ATTR_NOT_ENFORCED:
        into.is_enforced, into.skip_validation, into.initially_valid = False, True, False
