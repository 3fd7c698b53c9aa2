"""The HTTP API as one ASGI application, which `marketplace up` and `marketplace serve` serve."""

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from starlette.types import Scope

from holdfast import AsyncDatabase, Profile
from holdfast.application.own_writes import KeepOwnWrites
from marketplace import documentation, health, metrics, problems, schema
from marketplace.accounts import routes as accounts
from marketplace.accounts.context import open_accounts
from marketplace.accounts.session_lookup import SessionLookup
from marketplace.background import jobs, running
from marketplace.catalog import routes as catalog
from marketplace.database import Transactions, database_settings, driver_connection
from marketplace.direct import DirectRoutes
from marketplace.edge import Edge
from marketplace.entities import Entity
from marketplace.errors import NoDatabase
from marketplace.faults import Faults
from marketplace.head_requests import HeadRequests
from marketplace.logs import configure_logs
from marketplace.orders import routes as orders
from marketplace.persons import routes as persons
from marketplace.request_limits import BodyLimits
from marketplace.settings import Settings, read_settings, sqlalchemy_url
from marketplace.shared_reads import SharedReads
from marketplace.starting import started


class Api(FastAPI):
    """FastAPI, with the problems in its OpenAPI document."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document; see https://fastapi.tiangolo.com/how-to/extending-openapi/."""
        document = super().openapi()
        document["components"]["schemas"] |= problems.schemas()
        return document


def create_app(settings: Settings | None = None) -> FastAPI:
    """Make the application. Needs DATABASE_URL; connects when it starts to serve.

    Without `settings` a process of `marketplace serve` calls it: then nobody else reads them, nor sets up the log.
    """
    is_on_its_own = settings is None
    settings = settings or read_settings()
    if settings.database_url is None:
        raise NoDatabase
    if is_on_its_own:
        configure_logs(level=settings.log_level.number)
    measured = metrics.Metrics()
    app = Api(
        title="marketplace",
        version=version("marketplace"),
        lifespan=_lifespan,
        docs_url=None,  # its pages need scripts of another host; `documentation.py` has ours
        redoc_url=None,
        openapi_url="/openapi.json" if settings.exposes_docs else None,
        redirect_slashes=False,  # to the host that the client names, whatever that is
        telemetry={"metrics": False, "tracing": False, "logs": False},  # `Edge` measures
    )
    # Added from the inside out: the last one sees a request first.
    app.add_middleware(KeepOwnWrites, written=_written)
    app.add_middleware(
        BodyLimits, most=settings.max_request_bytes, patience=settings.request_body_time
    )
    app.add_middleware(Faults)
    app.add_middleware(HeadRequests)
    is_production = settings.profile is Profile.PRODUCTION
    app.add_middleware(Edge, metrics=measured.requests, is_production=is_production)
    app.state.database_url = sqlalchemy_url(settings.database_url)
    app.state.settings = settings
    app.state.metrics = measured
    app.state.accounts = open_accounts(settings, metrics=measured)
    app.state.revisions = schema.known_revisions()
    problems.answer_with_problems(app)
    # Without routers in between, which FastAPI would search twice; what is asked for most comes first.
    direct = (*catalog.DIRECT, *orders.DIRECT, *accounts.DIRECT)
    app.router.routes.insert(0, DirectRoutes(direct))
    served = (health.ROUTES, catalog.ROUTES, orders.ROUTES, accounts.ROUTES, persons.ROUTES)
    app.router.routes.extend(route for routes in served for route in routes)
    if settings.exposes_metrics:
        app.include_router(metrics.router)
    if settings.exposes_docs:
        app.include_router(documentation.router)
    if is_on_its_own:
        _keep_what_is_loaded()
    return app


def _keep_what_is_loaded() -> None:
    """Exclude loaded code from garbage collection, which would search all of it each time: that takes 0.1 s."""
    gc.collect()
    gc.freeze()


async def _written(scope: Scope) -> str | None:
    """Give the position of everything committed so far; None if everything is read from the primary."""
    database = scope["app"].state.transactions.database
    return None if database is None else str(await database.written())


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings = database_settings(app.state.database_url, profile=app.state.settings.profile)
    database = AsyncDatabase(settings, metadata=Entity.metadata, metrics=app.state.metrics.pool)
    app.state.database = database
    engine = app.state.engine = database.engine
    app.state.transactions = Transactions.on(
        engine, database=database, placement=app.state.settings.placement
    )
    app.state.accounts.rates.start(app.state.transactions)
    app.state.product_pages = SharedReads()
    app.state.principals = SessionLookup(
        partial(driver_connection, engine), placement=app.state.settings.placement
    )
    async with started(database), running(jobs(database, app.state.settings)):
        yield
