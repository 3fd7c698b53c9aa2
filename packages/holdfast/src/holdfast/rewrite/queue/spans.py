"""Finds where in a queue something is taken and given back, and what has to stay between the two.

A span is what users must see as one. Statements between its ends that have nothing to do with it move in front of it.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from holdfast.rewrite.queue.independence import are_independent
from holdfast.rewrite.queue.pairs import (
    Taken,
    belongs_to_new,
    fills,
    given_by,
    is_given_back,
    is_given_back_by_name,
    taken_by,
)
from holdfast.rewrite.queue.units import QueueEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Entries that belong together, and what is missing between the first and the last of them."""

    entries: tuple[QueueEntry, ...]
    taken: tuple[Taken, ...]

    @property
    def first(self) -> QueueEntry:
        """The entry that takes away what a later one gives back."""
        return self.entries[0]

    @property
    def last(self) -> QueueEntry:
        """What completes what was given back."""
        return self.entries[-1]


Wanted = Callable[[Taken, Sequence[QueueEntry]], bool]


def spans_in(
    entries: Sequence[QueueEntry], *, wanted: Wanted, done: Collection[int] = ()
) -> tuple[Span, ...]:
    """Find the spans of a queue; those that share an entry are one. `wanted` sees what was taken and what follows.

    `done` are the positions of what is executed and not committed: nothing moves in front of that any more.
    """
    found: list[Span] = []
    given = [tuple(given_by(entry)) for entry in entries]
    for place, entry in enumerate(entries):
        for taken in dict.fromkeys(taken_by(entry)):
            ends = _ends(taken, entries[place + 1 :], given[place + 1 :])
            if not ends:
                continue
            last = place + 1 + ends[-1]
            if not wanted(taken, entries[place + 1 : last + 1]):
                continue
            members = {place, *(place + 1 + end for end in ends)}
            found.append(_closed(entries, members, taken, done=done))
    return _merged(entries, found, done=done)


def unclosed(entries: Sequence[QueueEntry]) -> tuple[tuple[QueueEntry, Taken], ...]:
    """Give what these take and do not give back."""
    return tuple(
        (entry, taken)
        for place, entry in enumerate(entries)
        for taken in taken_by(entry)
        if not any(is_given_back(taken, later) for later in entries[place + 1 :])
    )


def with_spans(
    entries: Sequence[QueueEntry], spans: Iterable[Span]
) -> tuple[tuple[QueueEntry, ...], ...]:
    """Bring the entries of each span together, in the place of its last."""
    span_of = {entry.position: span for span in spans for entry in span.entries}
    groups: list[tuple[QueueEntry, ...]] = []
    for entry in entries:
        span = span_of.get(entry.position)
        if span is None:
            groups.append((entry,))
        elif entry == span.last:
            groups.append(span.entries)
    return tuple(groups)


def _ends(
    taken: Taken, later: Sequence[QueueEntry], given_later: Sequence[tuple[Taken, ...]]
) -> list[int]:
    """Find where it is given back, and what completes it; for policies, all later ones."""
    given = [
        place for place, each in enumerate(given_later) if any(fills(one, taken) for one in each)
    ]
    if not given:
        return []
    by_name = [place for place in given if is_given_back_by_name(taken, later[place])]
    if taken.what in ("policy", "privilege") and not taken.is_temporary:
        ends = given
    elif taken.is_switched_off:  # by one for all, too
        ends = given[:1]
    else:  # two constraints may have columns in common
        ends = (by_name or given)[:1]
    completing = [
        place
        for place, entry in enumerate(later)
        if place > ends[-1] and belongs_to_new(taken, entry)
    ]
    return [*ends, *completing]


def _closed(
    entries: Sequence[QueueEntry], members: set[int], taken: Taken, *, done: Collection[int]
) -> Span:
    """Add the entries in between that cannot move in front of the span."""
    if any(entries[place].position in done for place in members):
        _add_what_comes_first(entries, members)
    for place in range(min(members) + 1, max(members)):
        if place in members:
            continue
        before = [entries[each] for each in sorted(members) if each < place]
        if not all(are_independent(each, entries[place]) for each in before):
            members.add(place)
    return Span(entries=tuple(entries[each] for each in sorted(members)), taken=(taken,))


def _add_what_comes_first(entries: Sequence[QueueEntry], members: set[int]) -> None:
    """Add entries that must run before a later one of the span, if its first is executed already."""
    for place in reversed(range(min(members) + 1, max(members))):
        after = [entries[each] for each in members if each > place]
        if not all(are_independent(entries[place], each) for each in after):
            members.add(place)


def _merged(
    entries: Sequence[QueueEntry], spans: list[Span], *, done: Collection[int]
) -> tuple[Span, ...]:
    """Merge spans that share an entry, or stand between the entries of another and cannot move."""
    merged: list[Span] = []
    for span in spans:
        positions = {entry.position for entry in span.entries}
        taken = span.taken
        for other in [each for each in merged if positions & {e.position for e in each.entries}]:
            merged.remove(other)
            positions |= {entry.position for entry in other.entries}
            taken = (*other.taken, *taken)
        members = {place for place, entry in enumerate(entries) if entry.position in positions}
        closed = _closed(entries, members, taken[0], done=done)
        merged.append(Span(entries=closed.entries, taken=taken))
    return tuple(merged)
