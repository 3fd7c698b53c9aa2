"""The metrics of the service, by the semantic conventions of OpenTelemetry, for Prometheus to fetch.

`http.server.*` of every request, `db.client.connection.*` by the pool of connections, and what sessions come to.
"""

from collections import Counter
from collections.abc import Iterable

from fastapi import APIRouter, Request, Response
from opentelemetry.metrics import CallbackOptions, Observation
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from holdfast.engine.pool.metrics import PoolMetrics
from marketplace.instruments import Meter

router = APIRouter()

# The advice of the semantic conventions for durations of requests, in seconds.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
METHODS = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"}
)


class Metrics:
    """The metrics of one application."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        meter = Meter()
        self._registry.register(meter)
        self.pool = PoolMetrics(meter)
        self.requests = RequestMetrics(meter)
        self._sessions = meter.create_counter(
            "marketplace.sessions",
            unit="{session}",
            description="Log ins and refreshes by what they came to.",
        )

    def count_session(self, outcome: str) -> None:
        """Count one more log in or refresh with this result."""
        self._sessions.add(1, {"outcome": str(outcome)})

    def text(self) -> bytes:
        """Write all metrics, as Prometheus reads them."""
        return generate_latest(self._registry)


class RequestMetrics:
    """How long requests take, by route and status, and how many are under way."""

    def __init__(self, meter: Meter) -> None:
        self._under_way: Counter[tuple[str, str]] = Counter()  # by method and scheme
        self._durations = meter.create_histogram(
            "http.server.request.duration",
            unit="s",
            description="Duration of HTTP server requests.",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        meter.create_observable_up_down_counter(
            "http.server.active_requests",
            [self._observed],
            unit="{request}",
            description="Number of active HTTP server requests.",
        )

    def begin(self, *, method: str, scheme: str) -> None:
        """Count a request that has begun."""
        self._under_way[_known(method), scheme] += 1

    def end(
        self,
        seconds: float,
        *,
        method: str,
        scheme: str,
        version: str,
        route: str | None,
        status: int | None,
    ) -> None:
        """Count a request that was answered, or that ended without an answer and so without a status."""
        method = _known(method)
        self._under_way[method, scheme] -= 1
        said = {
            "http.request.method": method,
            "http.response.status_code": "" if status is None else str(status),
            "http.route": route or "",
            "network.protocol.version": version,
            "url.scheme": scheme,
        }
        if status is None or status >= 500:
            said["error.type"] = "incomplete_response" if status is None else str(status)
        self._durations.record(seconds, said)

    def _observed(self, _: CallbackOptions) -> Iterable[Observation]:
        return [
            Observation(number, {"http.request.method": method, "url.scheme": scheme})
            for (method, scheme), number in self._under_way.items()
        ]


def _known(method: str) -> str:
    """Give the method if it is a known one, else one common name: no client makes series of its own."""
    return method if method in METHODS else "_OTHER"


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request) -> Response:
    """Answer `/metrics`, for the network of the operators: a proxy that faces the world does not pass it on."""
    return Response(request.app.state.metrics.text(), media_type=CONTENT_TYPE_LATEST)
