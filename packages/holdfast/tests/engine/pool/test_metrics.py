"""What a pool tells OpenTelemetry, by the names of the semantic conventions."""

from collections.abc import Callable, Iterator

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from pools import pool_of, use_at_once
from sqlalchemy import Engine

from holdfast.engine.pool.metrics import PoolMetrics
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
