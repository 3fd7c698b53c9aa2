"""The HTTP API as one ASGI application: `uvicorn --factory marketplace.app:create_app`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI

from marketplace import health, problems, schema
from marketplace.accounts.tokens import TokenKeys
from marketplace.catalog import routes as catalog
from marketplace.cursors import Cursors
from marketplace.database import open_engine, sessions_of
from marketplace.errors import NoDatabase
from marketplace.settings import Settings, read_settings, sqlalchemy_url


class Api(FastAPI):
    """FastAPI, with the problems in its OpenAPI document."""

    def openapi(self) -> dict[str, Any]:
        """See https://fastapi.tiangolo.com/how-to/extending-openapi/."""
        document = super().openapi()
        document["components"]["schemas"] |= problems.schemas()
        return document


def create_app(settings: Settings | None = None) -> FastAPI:
    """Needs DATABASE_URL; connects when it starts to serve."""
    settings = settings or read_settings()
    if settings.database_url is None:
        raise NoDatabase
    app = Api(title="marketplace", version=version("marketplace"), lifespan=_lifespan)
    app.state.database_url = sqlalchemy_url(settings.database_url)
    app.state.settings = settings
    app.state.keys = TokenKeys.of(settings.server_key)
    app.state.revisions = schema.known_revisions()
    app.state.product_cursors = Cursors(
        key=settings.cursor_key.get_secret_value(), pages="products"
    )
    problems.answer_with_problems(app)
    app.include_router(health.router)
    app.include_router(catalog.router)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    engine = open_engine(app.state.database_url)
    app.state.engine = engine
    app.state.sessions = sessions_of(engine)
    try:
        yield
    finally:
        await engine.dispose()
