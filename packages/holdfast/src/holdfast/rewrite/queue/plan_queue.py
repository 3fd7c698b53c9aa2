"""Plans a queue as a whole: which of its statements are executed together, and in which order."""

from collections.abc import Iterator, Sequence
from datetime import date

from holdfast.rewrite.queue.independence import are_independent, is_write
from holdfast.rewrite.queue.pairs import Taken
from holdfast.rewrite.queue.rules.backfill_first import in_best_order
from holdfast.rewrite.queue.rules.bracket import is_bracket, lasts_as_written, refuse_what_lasts
from holdfast.rewrite.queue.rules.copied_once import copied_once
from holdfast.rewrite.queue.rules.new_enums import refuse_new_enums_on_partitions
from holdfast.rewrite.queue.rules.one_lock import one_lock
from holdfast.rewrite.queue.rules.recreated_types import can_be_beside, types_named
from holdfast.rewrite.queue.rules.replaced_together import (
    first_build_on_new_columns,
    is_replaced,
    with_interim_checks,
)
from holdfast.rewrite.queue.rules.values_added import with_values_added
from holdfast.rewrite.queue.rules.writes_together import writes_together
from holdfast.rewrite.queue.spans import Span, spans_in, unclosed, with_spans
from holdfast.rewrite.queue.units import QueueEntry, Unit
from holdfast.rewrite.type_change import may_write_rows


def plan_queue(
    entries: Sequence[QueueEntry],
    *,
    today: date,
    done: Sequence[QueueEntry] = (),
    wrote: bool = False,
) -> tuple[Unit, ...]:
    """Give the units of a queue, in order; they follow `done`, which is executed and not committed yet.

    `wrote`: so are writes of the function. What belongs to either joins the transaction that is open.

    Raises LongStatement where a new enum would be that of a partitioned table; TornApart where what users
    must see as one can be kept neither in a moment nor on a small table.
    """
    if not types_named([entry.statement for entry in done]):
        entries = with_values_added(entries)
    refuse_new_enums_on_partitions(entries, today=today)
    ordered = [entries[place] for place in in_best_order(entries)]
    ordered = [*done, *with_interim_checks(ordered)]
    open_positions = {entry.position for entry in done}
    spans = spans_in(ordered, wanted=_is_one, done=open_positions)
    for span in spans:
        is_open = any(entry.position in open_positions for entry in span.entries)
        is_written = is_open and not types_named([entry.statement for entry in span.entries])
        refuse_what_lasts(span, today=today, is_open=is_written)
    groups = [
        part for group in with_spans(ordered, spans) for part in _executable(group, open_positions)
    ]
    units = [_unit(group, open_positions) for group in groups]
    completing = tuple(unit for unit in units if unit.joins_open and unit.entries)
    rest = tuple(unit for unit in units if not unit.joins_open)
    return (*completing, *one_lock(copied_once(writes_together(rest, wrote=wrote))))


def lasts_with_open(entries: Sequence[QueueEntry], *, done: Sequence[QueueEntry]) -> bool:
    """Whether long DDL belongs to what is executed and not committed: it would last in that transaction."""
    open_positions = {entry.position for entry in done}
    return any(
        entry.position not in open_positions and not is_write(entry) and lasts_as_written(entry)
        for span in spans_in([*done, *entries], wanted=_is_one, done=open_positions)
        if any(entry.position in open_positions for entry in span.entries)
        for entry in span.entries
    )


def divided_by_a_look(
    entries: Sequence[QueueEntry], *, done: Sequence[QueueEntry], look: str, today: date
) -> tuple[list[QueueEntry], list[QueueEntry], bool]:
    """Divide what may be committed before the function reads rows, what may not, and whether to keep one transaction.

    What was switched off is switched on again behind the look: from there on it is one transaction.
    """
    entries = [*done, *entries]
    taken = [(entry, what) for entry, what in unclosed(entries) if _is_kept_open(what)]
    if not taken:
        return list(entries), [], False
    is_single = any(what.is_switched_off for _, what in taken)
    members = {entry.position for entry, _ in taken}
    tail: list[QueueEntry] = []
    head: list[QueueEntry] = []
    for entry in entries:
        is_tied = any(not are_independent(entry, each) for each in tail)
        (tail if entry.position in members or is_tied else head).append(entry)
    if any(entry in tail for entry in done):
        head, tail = [], list(entries)  # what is open is committed as a whole
    span = Span(entries=tuple(tail), taken=tuple(what for _, what in taken))
    refuse_what_lasts(span, today=today, until=look, is_open=True)
    return head, tail, is_single


def _is_kept_open(taken: Taken) -> bool:
    is_dropped = taken.is_view or taken.what in ("function", "policy", "rule", "trigger")
    return taken.is_switched_off or is_dropped


def _executable(group: tuple[QueueEntry, ...], done: set[int]) -> Iterator[tuple[QueueEntry, ...]]:
    """Give the group, or parts of it if one entry must exist before another can be prepared.

    A type before a column of it can be copied, a column before an index of it can be built.
    """
    changes = [e for e in group if e.facts and may_write_rows(e.statement, facts=e.facts)]
    statements = [entry.statement for entry in group]
    is_open = any(entry.position in done for entry in group)
    if changes and types_named(statements) and (is_open or not can_be_beside(statements)):
        yield from ((entry,) for entry in group)
        return
    cut = None if is_open else first_build_on_new_columns(group)
    if cut is None:
        yield group
    else:
        yield group[:cut]
        yield from _executable(group[cut:], done)


def _unit(group: Sequence[QueueEntry], done: set[int]) -> Unit:
    """Make the unit of a group, without what is executed already."""
    left = tuple(entry for entry in group if entry.position not in done)
    return Unit(entries=left, joins_open=len(left) < len(group))


def _is_one(taken: Taken, until: Sequence[QueueEntry]) -> bool:
    return is_bracket(taken) or is_replaced(taken, until)
