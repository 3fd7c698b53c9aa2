"""Reports pools to OpenTelemetry: `db.client.connection.*`, by the semantic conventions for databases.

Counts are asked for when metrics are collected; only durations are recorded as they happen.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Protocol
from weakref import WeakSet

from opentelemetry.metrics import CallbackOptions, Observation, get_meter

from holdfast.engine.pool.limits import PoolLimits
from holdfast.engine.pool.places import Figures

POOL = "db.client.connection.pool.name"
STATE = "db.client.connection.state"
# The advice of the semantic conventions for durations of a database client; the default is for milliseconds.
SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)


Callback = Callable[[CallbackOptions], Iterable[Observation]]


class Histogram(Protocol):
    """An instrument that records durations."""

    def record(self, amount: float, attributes: Mapping[str, str]) -> None:
        """Count one duration, in seconds."""


class Counter(Protocol):
    """An instrument that counts occurrences."""

    def add(self, amount: int, attributes: Mapping[str, str]) -> None:
        """Count that many more."""


class Meter(Protocol):
    """What is needed of a meter: OpenTelemetry's has it, and so may a cheaper one that does less."""

    def create_observable_up_down_counter(
        self, name: str, callbacks: Sequence[Callback], unit: str
    ) -> object:
        """Make an instrument whose figures are asked for when metrics are collected."""

    def create_counter(self, name: str, unit: str) -> Counter:
        """Make an instrument whose figure only grows."""

    def create_histogram(
        self, name: str, unit: str, *, explicit_bucket_boundaries_advisory: Sequence[float]
    ) -> Histogram:
        """Make an instrument for durations."""


class Measured(Protocol):
    """What a pool must offer for this."""

    name: str
    limits: PoolLimits

    def figures(self) -> Figures:
        """How many connections the pool has, by what they do, and how many callers wait."""

    def __hash__(self) -> int: ...


class PoolMetrics:
    """The instruments of one meter, for all pools that are watched."""

    def __init__(self, meter: Meter) -> None:
        self._pools: WeakSet[Measured] = WeakSet()
        prefix = "db.client.connection"
        for name, unit, observe in (
            ("count", "{connection}", self._counts),
            ("idle.max", "{connection}", self._of(lambda pool: pool.limits.max)),
            ("idle.min", "{connection}", self._of(lambda pool: pool.limits.min)),
            ("max", "{connection}", self._of(lambda pool: pool.limits.max)),
            ("pending_requests", "{request}", self._of(lambda pool: pool.figures().waiting)),
        ):
            meter.create_observable_up_down_counter(f"{prefix}.{name}", [observe], unit)
        self.timeouts = meter.create_counter(f"{prefix}.timeouts", unit="{timeout}")
        self.create_time = _seconds(meter, f"{prefix}.create_time")
        self.wait_time = _seconds(meter, f"{prefix}.wait_time")
        self.use_time = _seconds(meter, f"{prefix}.use_time")

    def watch(self, pool: Measured) -> None:
        """Report a pool's figures until it is forgotten or gone."""
        self._pools.add(pool)

    def forget(self, pool: Measured) -> None:
        """Leave the pool out of the figures from now on."""
        self._pools.discard(pool)

    def _counts(self, _: CallbackOptions) -> Iterable[Observation]:
        for pool in list(self._pools):
            figures = pool.figures()
            yield Observation(figures.idle, {POOL: pool.name, STATE: "idle"})
            yield Observation(figures.used, {POOL: pool.name, STATE: "used"})

    def _of(
        self, figure: Callable[[Measured], int]
    ) -> Callable[[CallbackOptions], Iterable[Observation]]:
        return lambda _: [
            Observation(figure(pool), {POOL: pool.name}) for pool in list(self._pools)
        ]


def _seconds(meter: Meter, name: str) -> Histogram:
    return meter.create_histogram(name, unit="s", explicit_bucket_boundaries_advisory=SECONDS)


@cache
def global_metrics() -> PoolMetrics:
    """Give the instruments of the global meter provider, made once: a second of the same name would be ignored."""
    return PoolMetrics(get_meter("holdfast"))
