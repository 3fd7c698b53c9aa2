"""Decides what may run as written in a savepoint or an indivisible transaction, and refuses what is too large.

The author expects its error in place, or holds what lives as long as the transaction: there is no online form here.
"""

from collections.abc import Iterator
from datetime import date

from holdfast.errors.statement import CannotWaitHere
from holdfast.rewrite.facts import Facts, Relation
from holdfast.rewrite.hazards import Hazard, LongWork
from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.online import Draft, draft_of, is_exempted, locks_of
from holdfast.rewrite.side_by_side.expand import waiting_in
from holdfast.rewrite.statement import Statement, shortened
from holdfast.rewrite.steps import (
    BackfillStep,
    BuildIndexStep,
    CopyRowsStep,
    FillRowsStep,
    ValidateStep,
)

# What is read in about 50 ms, the time that users may have to wait for a lock. Both are the server's estimates.
LARGEST_BYTES = 10_000_000
LARGEST_ROWS = 50_000

UNDIVIDED = LongWork(
    rows=(43,),
    work="reads or writes every row, in a transaction that cannot be divided,",
    instead="Write it outside of the savepoint, and in a revision without LOCK TABLE, FOR UPDATE, ON"
    " COMMIT DROP and server-side cursors: there it is executed online.",
)


def refuse_undivided(statement: Statement, *, facts: Facts, today: date) -> None:
    """Raise LongStatement on a large table, BreaksRunningCode on any."""
    if is_exempted(statement, today=today):
        return
    relations = {relation.name: relation for relation in facts.relations.values()}
    draft = draft_of(statement, facts=facts)
    if waiting := waiting_in(draft.steps):
        raise CannotWaitHere(statement=shortened(statement.sql), waiting=str(waiting[0]))
    for refusal in (*draft.refusals, *_holds(statement, draft, facts=facts)):
        relation = refusal.relation if isinstance(refusal, Hazard) else None
        if relation is None or not is_small(relations.get(relation)):
            raise refusal.error(statement)


def _holds(statement: Statement, draft: Draft, *, facts: Facts) -> Iterator[Hazard]:
    """Give what the steps of the online form would have done beside users."""
    blocked = {lock.relation: lock for lock in locks_of(statement, facts=facts)}
    rows = {relation.name: relation.rows for relation in facts.relations.values()}
    for table in _worked_on(draft):
        lock = blocked.get(table)
        if lock is not None and lock.mode.blocks_users:
            yield Hazard(relation=table, rows=rows.get(table, 0), mode=lock.mode, doing=UNDIVIDED)


WORKING = BackfillStep | BuildIndexStep | CopyRowsStep | FillRowsStep | ValidateStep


def _worked_on(draft: Draft) -> Iterator[QualifiedName]:
    for step in draft.steps:
        if isinstance(step, WORKING):
            yield step.table


def is_small(relation: Relation | None) -> bool:
    """Whether all of it can be read while users wait; the size of a partitioned table is not known."""
    return (
        relation is not None
        and not relation.descendants
        and relation.bytes <= LARGEST_BYTES
        and relation.rows <= LARGEST_ROWS
    )
