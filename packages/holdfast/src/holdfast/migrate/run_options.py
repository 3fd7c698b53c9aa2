"""How a run goes about it: what its caller has asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from holdfast.execute.progress import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The same for all revisions of a run."""

    report: Report
    patience: timedelta  # with another migrator
    lock_budget: timedelta
    should_stop: Callable[[], bool]  # between two steps
    must_stop: Callable[[], bool]  # inside one
    looks_for_edits: bool = False
    accepts_edits: bool = False
