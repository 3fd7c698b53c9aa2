"""An engine on a database of the test's own, with short limits; both kinds."""

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.ext.asyncio import AsyncEngine

from holdfast.engine.create_engine import create_async_engine, create_engine
from holdfast.engine.settings import Settings

LIMITS = {"max": 4, "min": 2, "idle": "1h", "timeout": "5s", "max_lifetime": "1h"}


@pytest.fixture
def application_name() -> str:
    """What the backends of this test are called."""
    return f"test-{secrets.token_hex(4)}"


@pytest.fixture
def settings(database: str, application_name: str) -> Callable[..., Settings]:
    """Settings for the database with these pool limits."""

    def with_limits(url: str = database, **limits: Any) -> Settings:
        return Settings(
            profile="test", url=url, application_name=application_name, pool=LIMITS | limits
        )

    return with_limits


@pytest.fixture
def engine(settings: Callable[..., Settings]) -> Iterator[Callable[..., Engine]]:
    """An engine with these pool limits and options of SQLAlchemy, disposed of afterwards."""
    engines: list[Engine] = []

    def with_limits(*, options: dict[str, Any] | None = None, **limits: Any) -> Engine:
        engines.append(create_engine(settings(**limits), **options or {}))
        return engines[-1]

    yield with_limits
    for each in engines:
        each.dispose()


@pytest.fixture
def async_engine(settings: Callable[..., Settings]) -> Callable[..., AsyncEngine]:
    """The same for an event loop; the test disposes of it, inside the loop."""
    return lambda **limits: create_async_engine(settings(**limits))
