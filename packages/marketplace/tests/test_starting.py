"""A process that waits for migrations answers, and says what it waits for."""

import time
from collections.abc import Callable

import httpx
import pytest
from sqlalchemy import Engine

from holdfast.migrate.run import downgrade, upgrade
from marketplace import schema, starting

LIMIT = 30


def wait_until_ready(api: httpx.Client) -> httpx.Response:
    limit = time.monotonic() + LIMIT
    while (answer := api.get("/readyz")).status_code != 200 and time.monotonic() < limit:
        time.sleep(0.02)
    return answer


def test_readyz_answers_while_it_waits(
    shop: Engine, serve: Callable[..., httpx.Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 until another process has migrated; then it serves."""
    config = schema.migration_config()
    monkeypatch.setenv("HOLDFAST_MIGRATE_ON_START", "wait")
    monkeypatch.setattr(starting, "PATIENCE", 0.01)
    with shop.connect() as connection:
        config.attributes["connection"] = connection
        downgrade(config, "-1")
        api = serve()
        waiting = api.get("/readyz")
        alive = api.get("/healthz")
        upgrade(config, "head")
    assert (waiting.status_code, waiting.json()["code"], waiting.json()["detail"]) == (
        503,
        "not_started",
        "This process is not ready: starting: nobody migrates now.",
    )
    assert alive.status_code == 200
    assert wait_until_ready(api).status_code == 200
