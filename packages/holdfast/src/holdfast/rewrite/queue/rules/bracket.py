"""Rule: what is switched off and on again, or protects rows only together with others, is one transaction.

So is what stands in between. Where that lasts, on a table that is not small, it is refused before anything has run:
there is no moment at which users could be let in.
"""

from datetime import date

from postgast import pg_query_pb2 as pb

from holdfast.errors.statement import TornApart
from holdfast.rewrite.backfill import finds_rows_by_key
from holdfast.rewrite.facts import Relation
from holdfast.rewrite.online import draft_of, is_exempted
from holdfast.rewrite.queue.independence import is_opaque
from holdfast.rewrite.queue.not_null_ahead import not_null_proved_before
from holdfast.rewrite.queue.pairs import NOT_NULL, Taken, is_given_back
from holdfast.rewrite.queue.spans import Span
from holdfast.rewrite.queue.unit_steps import is_momentary
from holdfast.rewrite.queue.units import QueueEntry
from holdfast.rewrite.single_transaction import is_small
from holdfast.rewrite.statement import shortened
from holdfast.rewrite.steps import BatchStep, DropIndexStep, TransactionStep
from holdfast.rewrite.tree import find
from holdfast.rewrite.type_change import may_write_rows

MOMENTS = (BatchStep, DropIndexStep, TransactionStep)


def is_bracket(taken: Taken) -> bool:
    """Whether it stays taken until it is given back, whatever stands in between."""
    return taken.is_switched_off or taken.is_temporary or taken.what == "policy"


def refuse_what_lasts(span: Span, *, today: date, until: str = "", is_open: bool = False) -> None:
    """Raise TornApart, naming the statement that makes the one transaction too long.

    `is_open`: all of it is executed as it is written, in the transaction that is open; no column is copied before.
    """
    if any(is_exempted(entry.statement, today=today) for entry in span.entries):
        return
    for entry in span.entries:
        table = _large_table(entry, is_open=is_open)
        if table is not None and (is_open or not _is_proved_before(entry, span)):
            raise TornApart(
                statement=shortened(span.first.statement.sql),
                until=shortened(until or span.last.statement.sql),
                between=shortened(entry.statement.sql),
                relation=str(table.name),
                rows=table.rows,
                taken=span.taken[0].seen,
            )


def _large_table(entry: QueueEntry, *, is_open: bool) -> Relation | None:
    """Give the table that the statement reads or writes in full under the unit's locks; None if it is small."""
    node, facts = entry.statement.node, entry.facts
    if facts is None:
        return None
    tables = {r.name: r for r in facts.relations.values() if not r.is_new}
    large = next((table for table in tables.values() if not is_small(table)), None)
    if large is None:
        return None
    if isinstance(node, pb.UpdateStmt | pb.DeleteStmt):
        written = facts.in_use(node.relation)
        is_quick = written is not None and finds_rows_by_key(node, table=written)
        return None if is_quick else large
    if isinstance(node, pb.InsertStmt):
        return large if any(find(node, pb.FromExpr)) or _selects(node) else None
    if isinstance(node, pb.MergeStmt | pb.CopyStmt) or is_opaque(entry):
        return large
    if may_write_rows(entry.statement, facts=facts):
        # Its column is copied before, and what stands around it becomes part of the swap.
        return large if is_open else None
    if is_open:  # nothing can be built before
        return large if lasts_as_written(entry) else None
    return None if is_momentary(entry.statement, facts=facts) else large


def lasts_as_written(entry: QueueEntry) -> bool:
    """Whether it reads, writes or builds for long where it runs as written; no DROP does."""
    if entry.facts is None:
        return False
    draft = draft_of(entry.statement, facts=entry.facts)
    is_short = all(isinstance(step, MOMENTS) for step in draft.steps)
    return bool(draft.refusals) or not is_short


def _is_proved_before(entry: QueueEntry, span: Span) -> bool:
    """Whether it restores NOT NULL on a column that had it: a CHECK is validated before (`unit_steps`)."""
    facts = entry.facts
    if facts is None or not_null_proved_before(entry.statement, facts=facts) is None:
        return False
    return any(taken.what == NOT_NULL and is_given_back(taken, entry) for taken in span.taken)


def _selects(node: pb.InsertStmt) -> bool:
    return any(select.from_clause for select in find(node, pb.SelectStmt))
