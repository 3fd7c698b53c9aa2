"""A queue planned as a whole: which of its statements are executed as one, and in which order."""

from collections.abc import Iterable
from functools import reduce

from holdfast.rewrite.queue_rules import RULES
from holdfast.rewrite.units import QueueEntry, Unit


def plan_queue(entries: Iterable[QueueEntry]) -> tuple[Unit, ...]:
    """The units of a queue, in the order in which they run. Raises what a rule refuses."""
    alone = tuple(Unit(entries=(entry,)) for entry in entries)
    return reduce(lambda units, rule: rule(units), RULES, alone)
