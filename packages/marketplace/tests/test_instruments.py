"""What is counted, and how Prometheus reads it."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from opentelemetry.metrics import CallbackOptions, Observation
from prometheus_client import CollectorRegistry, generate_latest

from marketplace.instruments import Meter


def read(meter: Meter) -> list[str]:
    """The lines that Prometheus gets."""
    registry = CollectorRegistry()
    registry.register(meter)
    return generate_latest(registry).decode().splitlines()


def test_every_kind_of_instrument_as_prometheus_reads_it() -> None:
    """A bucket counts what lies on its bound; an attribute that only some series have is empty in the others."""
    meter = Meter()
    took = meter.create_histogram(
        "a.wait", "s", "How long.", explicit_bucket_boundaries_advisory=(0.5, 1.0)
    )
    seen = meter.create_counter("a.letter", "{letter}", "Sent.")
    meter.create_counter("never", "{time}", "Not counted yet.")

    def now(_: CallbackOptions) -> Iterable[Observation]:
        return [Observation(3, {"pool.name": 'a "name"'})]

    meter.create_observable_up_down_counter("a.pool.count", [now], "{connection}", "Open.")
    for seconds in (0.25, 0.5, 0.75, 7.0):
        took.record(seconds, {"a.route": "/x"})
    seen.add(1, {"to": "me"})
    seen.add(2, {"to": "me", "error.type": "500"})
    assert read(meter) == [
        "# HELP a_wait_seconds How long.",
        "# TYPE a_wait_seconds histogram",
        'a_wait_seconds_bucket{a_route="/x",le="0.5"} 2.0',
        'a_wait_seconds_bucket{a_route="/x",le="1.0"} 3.0',
        'a_wait_seconds_bucket{a_route="/x",le="+Inf"} 4.0',
        'a_wait_seconds_count{a_route="/x"} 4.0',
        'a_wait_seconds_sum{a_route="/x"} 8.5',
        "# HELP a_letter_total Sent.",
        "# TYPE a_letter_total counter",
        'a_letter_total{error_type="",to="me"} 1.0',
        'a_letter_total{error_type="500",to="me"} 2.0',
        "# HELP a_pool_count Open.",
        "# TYPE a_pool_count gauge",
        'a_pool_count{pool_name="a \\"name\\""} 3.0',
    ]


def test_threads_lose_no_count() -> None:
    """Whoever measures at the same time is counted each."""
    meter = Meter()
    took = meter.create_histogram("t", "s", "", explicit_bucket_boundaries_advisory=(1.0,))
    seen = meter.create_counter("n")

    def measure(_: int) -> None:
        for _ in range(500):
            took.record(1.0, {})
            seen.add(1, {})

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(measure, range(8)))
    assert {"t_seconds_count 4000.0", "t_seconds_sum 4000.0", "n_total 4000.0"} <= set(read(meter))
