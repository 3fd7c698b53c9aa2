"""ADD COLUMN: the column first, in a moment; then its values, where each row has another, in batches;
then its constraints, online. An index on a foreign key is not ours to add."""

from dataclasses import replace

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.filled_column import filled_column
from holdfast.rewrite.inline_constraints import take_out
from holdfast.rewrite.operations.add_foreign_key import foreign_key
from holdfast.rewrite.operations.add_unique import unique
from holdfast.rewrite.rewriting import Action, ActionRewrite, Split, added_not_valid
from holdfast.rewrite.tree import column_of, copy

CONSTRAINTS = (pb.CONSTR_CHECK, pb.CONSTR_FOREIGN, pb.CONSTR_UNIQUE)


def add_column(action: Action) -> Split | None:
    """REFERENCES, UNIQUE and CHECK are taken out of the column, and what gives rows their values."""
    if action.command.subtype != pb.AT_AddColumn:
        return None
    column = column_of(action.command)
    if action.command.missing_ok and action.table.column(column.colname):
        return None
    rest, constraints = take_out(column, wanted=lambda found: found.contype in CONSTRAINTS)
    splits = [_split(action, constraint) for constraint in constraints]
    found = [split for split in splits if split is not None]
    if len(found) < len(splits):
        return None
    stays = copy(action.command)
    getattr(stays, "def").column_def.CopyFrom(rest)
    filled = filled_column(replace(action, command=stays))
    if not splits and filled is None:
        return None
    return _together(filled or Split(stays=(stays,)), found)


def _together(column: Split, constraints: list[Split]) -> Split:
    """First the values, then what they have to satisfy."""
    steps = [step for split in constraints for step in split.after]
    names = [name for split in constraints for name in split.chosen_names]
    return replace(
        column,
        after=(*column.after, *steps),
        chosen_names=column.chosen_names | frozenset(names),
    )


def _split(action: Action, constraint: pb.Constraint) -> Split | None:
    if constraint.contype == pb.CONSTR_FOREIGN:
        return foreign_key(action, constraint)
    if constraint.contype == pb.CONSTR_UNIQUE:
        return unique(action, constraint)
    return added_not_valid(action, constraint)


REWRITE = ActionRewrite(name="add_column", rows=(12, 18, 19, 22, 23), apply=add_column)
