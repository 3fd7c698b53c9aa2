"""What is counted in a window, and the medians of several windows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from live.traffic import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of the requests that were under way at any moment of the change; times in ms, wall in s."""

    scenario: str
    tool: str
    round: int
    longest: float
    p999: float
    p50: float
    over_1s: int
    requests: int
    failed: int  # the holders' transactions among them
    wall: float
    runs: int
    completed: bool
    missing: Sequence[str]
    reads_p999: float = math.nan
    writes_p999: float = math.nan
    writes_longest: float = math.nan
    standby_longest: float = math.nan  # of the short reads there
    standby_failed: int = 0  # of these and of the reports: cancelled, say


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """From the start of the tool to its end, all its runs: seconds since the epoch."""

    start: float
    end: float

    def had(self, request: Request) -> bool:
        return request.due <= self.end and request.due + (request.latency or 0) >= self.start


def latencies(requests: Sequence[Request], span: Span) -> list[float]:
    """In ms, the shortest first."""
    return sorted(
        request.latency * 1000
        for request in requests
        if request.latency is not None and span.had(request)
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """Nearest rank."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


def failed(requests: Sequence[Request], span: Span) -> int:
    return sum(request.latency is None and span.had(request) for request in requests)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """One figure over several windows."""

    median: float
    least: float
    most: float


def spread(values: Sequence[float]) -> Spread:
    return Spread(median=median(values), least=min(values), most=max(values))
