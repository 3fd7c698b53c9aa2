"""The first half of a change that two releases can live with; None for what is done at once."""

from holdfast.rewrite.facts import Facts, Releases
from holdfast.rewrite.rewriting import Action, Split
from holdfast.rewrite.side_by_side.drops import (
    expanded_drop,
    expanded_drop_statement,
    expanded_value,
)
from holdfast.rewrite.side_by_side.one_name import one_name
from holdfast.rewrite.side_by_side.refusal import NeedsOneRelease
from holdfast.rewrite.side_by_side.rename_column import renamed_column
from holdfast.rewrite.side_by_side.rename_table import renamed_table
from holdfast.rewrite.statement import Statement
from holdfast.rewrite.steps import BatchStep, Step, TransactionStep, waits_of
from holdfast.rewrite.waiting import Waiting


def expanded(
    statement: Statement, *, facts: Facts
) -> tuple[tuple[Step, ...], NeedsOneRelease | None] | None:
    """Give the steps of a whole statement beside an old release, or why there are none."""
    if facts.side_by_side.releases is not Releases.TWO:
        return None
    steps = expanded_drop_statement(statement, facts) or expanded_value(statement)
    if steps is not None:
        return steps, None
    return (
        renamed_column(statement, facts)
        or renamed_table(statement, facts)
        or one_name(statement, facts)
    )


def expanded_action(action: Action) -> Split | None:
    """Give the steps of one action of an ALTER TABLE beside an old release, or why there are none."""
    if action.facts.side_by_side.releases is not Releases.TWO:
        return None
    return expanded_drop(action)


def ended_by(steps: tuple[Step, ...]) -> tuple[int, ...]:
    """Give the numbers of what no longer waits once these steps are done."""
    found = (step for step in steps if isinstance(step, BatchStep | TransactionStep))
    return tuple(number for step in found for number in step.ends)


def waiting_in(steps: tuple[Step, ...]) -> tuple[Waiting, ...]:
    """Give what waits for `finish` once these steps are done."""
    return tuple(waiting for step in steps for waiting in waits_of(step))
