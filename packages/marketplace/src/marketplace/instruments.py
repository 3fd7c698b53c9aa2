"""A meter with OpenTelemetry's API that counts in plain numbers, and writes them for Prometheus.

Every request is measured several times, and the SDK of OpenTelemetry takes some ten microseconds for each, for views
and exemplars that `/metrics` does not have: together as much as the rest of a small answer. Names and texts follow
the specification, "Prometheus and OpenMetrics Compatibility".
"""

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Protocol

from opentelemetry.metrics import CallbackOptions, Observation
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

UNITS = {"s": "_seconds"}  # what a unit adds to a name; one in braces adds nothing

Series = tuple[tuple[str, str], ...]
Callback = Callable[[CallbackOptions], Iterable[Observation]]


class Instrument(Protocol):
    """What every kind of instrument must offer for Prometheus."""

    def family(self) -> Metric:
        """Give all its series, as Prometheus reads them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What is known of an instrument from the beginning."""

    name: str
    text: str


@dataclass(slots=True)
class Buckets:
    """How many durations of one series fell into each bucket, and their sum."""

    counts: list[int]
    sum: float = 0.0


@dataclass(slots=True)
class Histogram:
    """Counts durations by how long they are."""

    description: Description
    bounds: Sequence[float]  # the longest duration of each bucket but the last, which has no end
    _series: dict[Series, Buckets] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def record(self, amount: float, attributes: Mapping[str, str]) -> None:
        """Count one more duration."""
        key, bucket = tuple(attributes.items()), bisect_left(self.bounds, amount)
        with self._lock:
            found = self._series.get(key)
            if found is None:
                found = self._series[key] = Buckets([0] * (len(self.bounds) + 1))
            found.counts[bucket] += 1
            found.sum += amount

    def family(self) -> Metric:
        """Give all its series, each bucket with those before it."""
        with self._lock:
            series = {key: Buckets([*each.counts], each.sum) for key, each in self._series.items()}
        names = _names(series)
        family = HistogramMetricFamily(
            self.description.name, self.description.text, labels=_labels(names)
        )
        limits = [*(str(float(bound)) for bound in self.bounds), "+Inf"]
        for key, found in series.items():
            counts = zip(limits, accumulate(found.counts), strict=True)
            family.add_metric(_values(key, names), [*counts], found.sum)
        return family


@dataclass(slots=True)
class Counter:
    """Counts occurrences."""

    description: Description
    _series: dict[Series, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, amount: float, attributes: Mapping[str, str]) -> None:
        """Count that many more."""
        key = tuple(attributes.items())
        with self._lock:
            self._series[key] = self._series.get(key, 0) + amount

    def family(self) -> Metric:
        """Give all its series."""
        with self._lock:
            series = dict(self._series)
        names = _names(series)
        family = CounterMetricFamily(
            self.description.name, self.description.text, labels=_labels(names)
        )
        for key, value in series.items():
            family.add_metric(_values(key, names), value)
        return family


@dataclass(slots=True)
class Observed:
    """Asks for its figures only when Prometheus comes."""

    description: Description
    callbacks: Sequence[Callback]

    def family(self) -> Metric:
        """Give what the callbacks say now."""
        asked = [each for callback in self.callbacks for each in callback(CallbackOptions())]
        said = [(_series_of(each.attributes), each.value) for each in asked]
        names = _names(key for key, _ in said)
        family = GaugeMetricFamily(
            self.description.name, self.description.text, labels=_labels(names)
        )
        for key, value in said:
            family.add_metric(_values(key, names), value)
        return family


class Meter(Collector):
    """Makes instruments; a registry of Prometheus collects them."""

    def __init__(self) -> None:
        self._instruments: list[Instrument] = []

    def create_histogram(
        self,
        name: str,
        unit: str = "",
        description: str = "",
        *,
        explicit_bucket_boundaries_advisory: Sequence[float],
    ) -> Histogram:
        """Make a histogram with these buckets."""
        made = Histogram(_described(name, unit, description), explicit_bucket_boundaries_advisory)
        self._instruments.append(made)
        return made

    def create_counter(self, name: str, unit: str = "", description: str = "") -> Counter:
        """Make a counter that begins at zero."""
        made = Counter(_described(name, unit, description))
        self._instruments.append(made)
        return made

    def create_observable_up_down_counter(
        self,
        name: str,
        callbacks: Sequence[Callback],
        unit: str = "",
        description: str = "",
    ) -> Observed:
        """Make an instrument for figures that go up and down, from callbacks."""
        made = Observed(_described(name, unit, description), callbacks)
        self._instruments.append(made)
        return made

    def collect(self) -> Iterator[Metric]:
        """Give every instrument that has measured something."""
        for instrument in self._instruments:
            family = instrument.family()
            if family.samples:
                yield family


def _described(name: str, unit: str, text: str) -> Description:
    return Description(name=name.replace(".", "_") + UNITS.get(unit, ""), text=text)


def _series_of(attributes: Mapping[str, object] | None) -> Series:
    return tuple((name, str(value)) for name, value in (attributes or {}).items())


def _names(series: Iterable[Series]) -> list[str]:
    """Give the attributes of all series: each of them has all, perhaps empty."""
    return sorted({name for key in series for name, _ in key})


def _labels(names: Sequence[str]) -> list[str]:
    return [name.replace(".", "_") for name in names]


def _values(key: Series, names: Sequence[str]) -> list[str]:
    known = dict(key)
    return [known.get(name, "") for name in names]
