"""What is counted and measured, by the semantic conventions of OpenTelemetry, for Prometheus to fetch.

FastAPI itself measures `http.server.request.duration` with the provider that it is given, the pool of
connections `db.client.connection.*`.
"""

from fastapi import APIRouter, Request, Response
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from holdfast.engine.pool.metrics import PoolMetrics

router = APIRouter()


class Metrics:
    """The metrics of one application."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        reader = PrometheusMetricReader(
            disable_target_info=True, scope_info_enabled=False, registry=self._registry
        )
        # Not stopped at exit: that is the lifespan's to do, which knows when nothing is counted any more.
        self.provider = MeterProvider([reader], shutdown_on_exit=False)
        self.pool = PoolMetrics(self.provider.get_meter("holdfast"))
        self._sessions = self.provider.get_meter("marketplace").create_counter(
            "marketplace.sessions",
            unit="{session}",
            description="Log ins and refreshes by what they came to.",
        )

    def count_session(self, outcome: str) -> None:
        """One more log in or refresh that came to this."""
        self._sessions.add(1, {"outcome": str(outcome)})

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self._registry)

    def stop(self) -> None:
        """End the counting; called once, when the application stops."""
        self.provider.shutdown()


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request) -> Response:
    """For the network of the operators: a proxy that faces the world does not pass it on."""
    return Response(request.app.state.metrics.text(), media_type=CONTENT_TYPE_LATEST)
