"""What a pool tells OpenTelemetry, by the names of the semantic conventions."""

import gc
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from pools import PID, pool_of, use_at_once
from sqlalchemy import Engine

from holdfast.engine.pool.metrics import PoolMetrics
from holdfast.engine.pool.sized import AsyncSizedPool, SizedPool
from holdfast.errors.pool import PoolExhausted

PREFIX = "db.client.connection"


@pytest.fixture
def reader() -> Iterator[InMemoryMetricReader]:
    reader = InMemoryMetricReader()
    yield reader
    reader.shutdown()


def collected(reader: InMemoryMetricReader) -> dict[tuple[str, str], float]:
    """Values and counts of histograms, by name and state."""
    data = reader.get_metrics_data()
    assert data is not None
    return {
        (
            metric.name.removeprefix(f"{PREFIX}."),
            str((point.attributes or {}).get(f"{PREFIX}.state", "")),
        ): (point.count if isinstance(point, HistogramDataPoint) else point.value)
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    }


def test_all_metrics_of_a_pool(engine: Callable[..., Engine], reader: InMemoryMetricReader) -> None:
    """One connection, opened ahead, used once and now again."""
    meter = MeterProvider([reader]).get_meter("test")
    measured = engine(max=3, min=1, timeout="50ms", options={"metrics": PoolMetrics(meter)})
    pool_of(measured).prewarm()
    use_at_once(measured, 1)
    with measured.connect():
        found = collected(reader)
    assert found == {
        ("count", "idle"): 0,
        ("count", "used"): 1,
        ("idle.max", ""): 3,
        ("idle.min", ""): 1,
        ("max", ""): 3,
        ("pending_requests", ""): 0,
        ("create_time", ""): 1,
        ("wait_time", ""): 2,
        ("use_time", ""): 1,
    }


def test_durations_have_buckets_for_seconds(
    engine: Callable[..., Engine], reader: InMemoryMetricReader
) -> None:
    """Every histogram: a wait of 2 ms and one of 200 ms are told apart without a view of one's own."""
    meter = MeterProvider([reader]).get_meter("test")
    measured = engine(options={"metrics": PoolMetrics(meter)})
    use_at_once(measured, 1)
    data = reader.get_metrics_data()
    assert data is not None
    bounds = {
        metric.name.removeprefix(f"{PREFIX}."): point.explicit_bounds
        for metric in data.resource_metrics[0].scope_metrics[0].metrics
        for point in metric.data.data_points
        if isinstance(point, HistogramDataPoint)
    }
    of_seconds = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
    assert bounds == dict.fromkeys(("create_time", "wait_time", "use_time"), of_seconds)


def test_a_timeout_is_counted(engine: Callable[..., Engine], reader: InMemoryMetricReader) -> None:
    """One request gave up."""
    meter = MeterProvider([reader]).get_meter("test")
    measured = engine(max=1, min=1, timeout="50ms", options={"metrics": PoolMetrics(meter)})
    pool_of(measured).prewarm()
    with measured.connect(), pytest.raises(PoolExhausted):
        measured.connect()
    assert collected(reader)["timeouts", ""] == 1


def test_points_carry_the_name_of_the_pool(
    engine: Callable[..., Engine], reader: InMemoryMetricReader
) -> None:
    """host:port/database, as the conventions propose; a disposed pool is counted no longer."""
    meter = MeterProvider([reader]).get_meter("test")
    measured = engine(options={"metrics": PoolMetrics(meter)})
    name = pool_of(measured).name
    measured.dispose()
    data = reader.get_metrics_data()
    assert data is not None
    points = [
        point
        for scope in data.resource_metrics[0].scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    ]
    assert len(points) == 6
    assert {(point.attributes or {})[f"{PREFIX}.pool.name"] for point in points} == {name}


def test_nothing_happens_in_a_garbage_collection(
    engine: Callable[..., Engine], reader: InMemoryMetricReader
) -> None:
    """Whatever lock a thread holds: a connection that is collected there is returned later, by another thread.

    Here the lock is that of every instrument: the SDK records and collects under it.
    """
    meter = MeterProvider([reader]).get_meter("test")
    measured = engine(max=1, min=0, options={"metrics": PoolMetrics(meter)})
    pool = pool_of(measured)
    instrument = HeldWhileItRecords(pool)
    pool._metrics.use_time = instrument  # type: ignore[assignment]  # all that is asked of it
    lost = {"connection": measured.connect()}
    lost["itself"] = lost  # type: ignore[assignment]  # only a garbage collection finds it
    del lost
    with instrument.lock:
        gc.collect()
        assert pool.figures().used == 1  # noted, not returned
        assert not instrument.is_recorded.is_set()
    assert instrument.is_recorded.wait(10)
    with measured.connect() as connection:
        assert connection.scalar(PID)


class HeldWhileItRecords:
    """A histogram with the lock of the SDK's, which is not reentrant."""

    def __init__(self, pool: SizedPool | AsyncSizedPool) -> None:
        self.lock, self.is_recorded, self._pool = threading.Lock(), threading.Event(), pool

    def record(self, *_: object) -> None:
        with self.lock:
            self.is_recorded.set()


def test_figures_take_no_lock(engine: Callable[..., Engine]) -> None:
    """The SDK asks for them under its own lock, and a thread in the pool may wait for that one."""
    pool = pool_of(engine())
    with pool.places.lock, ThreadPoolExecutor(1) as another:
        assert another.submit(pool.figures).result(10).used == 0
