"""What belongs together in a queue: one rule, one file. `plan_queue` asks them in this order."""

from collections.abc import Callable

from holdfast.rewrite.queue_rules.backfill_first import backfill_first
from holdfast.rewrite.units import Unit

Rule = Callable[[tuple[Unit, ...]], tuple[Unit, ...]]

RULES: tuple[Rule, ...] = (backfill_first,)
