"""Rule: batches of writes run before the index builds on their table that they directly follow.

Measured: with six indexes on the table one UPDATE takes 38 s instead of 13 s, because no new version of a row is
heap-only any more.
"""

from collections.abc import Sequence

from postgast import pg_query_pb2 as pb

from holdfast.rewrite.backfill import can_be_batched
from holdfast.rewrite.queue.units import QueueEntry, Unit


def backfill_first(units: Sequence[Unit]) -> tuple[Unit, ...]:
    """Give the units in the best order, writes before builds; each entry is still a unit of its own."""
    return tuple(units[place] for place in in_best_order([unit.entries[0] for unit in units]))


def in_best_order(queue: Sequence[QueueEntry]) -> tuple[int, ...]:
    """Give the positions of the statements in the order in which to run them; the result is the same."""
    order: list[int] = []
    for position, item in enumerate(queue):
        order.insert(_place(item, [queue[before] for before in order]), position)
    return tuple(order)


def ends_in_builds(queue: Sequence[QueueEntry]) -> bool:
    """Whether a write that follows may have to run before the last of these."""
    for item in reversed(queue):
        if isinstance(item.statement.node, pb.IndexStmt):
            return True
        if not _is_batched(item):
            return False
    return False


def _place(item: QueueEntry, before: Sequence[QueueEntry]) -> int:
    """Find the place right before the first of the builds on its table that it directly follows."""
    place = here = len(before)
    if not _is_batched(item):
        return place
    while here and _is_plain_build(before[here - 1]):
        here -= 1
        if before[here].tables == item.tables:
            place = here
    return place


def _is_batched(item: QueueEntry) -> bool:
    return item.facts is not None and can_be_batched(item.statement.node, facts=item.facts)


def _is_plain_build(item: QueueEntry) -> bool:
    """Whether it builds a non-unique index on plain columns: neither it nor a write depends on the other.

    An expression or a condition could fail on a row as it is before the write, or after it.
    """
    node = item.statement.node
    if not isinstance(node, pb.IndexStmt) or node.unique or node.HasField("where_clause"):
        return False
    table = item.facts.in_use(node.relation) if item.facts is not None else None
    elements = [element.index_elem for element in node.index_params]
    return table is not None and not table.is_partitioned and all(e.name for e in elements)
