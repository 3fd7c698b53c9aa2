"""Rule: the author's writes that are not batched stay in one transaction, in their order.

Nobody sees half of them, and a constraint that is deferred holds at their end. Builds of plain indexes between them
move behind them.
"""

from collections.abc import Sequence
from dataclasses import replace

from holdfast.rewrite.backfill import can_be_batched
from holdfast.rewrite.queue.independence import are_independent, is_write
from holdfast.rewrite.queue.units import QueueEntry, Unit


def writes_together(units: Sequence[Unit], *, wrote: bool = False) -> tuple[Unit, ...]:
    """Join each write to the unit of the writes before it, if nothing in between depends on it.

    `wrote`: the open transaction has some, which are committed before anything else; so they join these.
    """
    joined: list[Unit] = [Unit(entries=(), is_whole=True, joins_open=True)]
    for unit in units:
        place = _place(unit, joined, first=0 if wrote else 1) if _is_written_whole(unit) else None
        if place is None:
            joined.append(replace(unit, is_whole=_is_written_whole(unit)))
        else:
            joined[place] = replace(joined[place], entries=(*joined[place].entries, *unit.entries))
    return tuple(unit for unit in joined if unit.entries)


def _place(unit: Unit, before: Sequence[Unit], *, first: int) -> int | None:
    """Find the unit that the write joins."""
    for place in reversed(range(first, len(before))):
        if _is_written_whole(before[place]):
            return place
        if not _are_independent(before[place], unit):
            return None
    return None


def _are_independent(one: Unit, other: Unit) -> bool:
    return all(are_independent(a, b) for a in one.entries for b in other.entries)


def _is_written_whole(unit: Unit) -> bool:
    return all(_is_one_write(entry) for entry in unit.entries)


def _is_one_write(entry: QueueEntry) -> bool:
    facts = entry.facts
    return is_write(entry) and not (
        facts is not None and can_be_batched(entry.statement.node, facts=facts)
    )
