"""What Prometheus fetches."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from devices import CUSTOMER, log_in
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Connection, Engine, text

LIMIT = 30


def samples(api: httpx.Client, name: str) -> dict[tuple[str, ...], float]:
    """By the values of the labels that matter here."""
    found: dict[tuple[str, ...], float] = {}
    for family in text_string_to_metric_families(api.get("/metrics").text):
        for sample in family.samples:
            if sample.name == name:
                labels = ("outcome", "http_route", "http_response_status_code")
                key = tuple(sample.labels[label] for label in labels if label in sample.labels)
                found[key] = sample.value
    return found


def test_outcomes_of_sessions(api: httpx.Client) -> None:
    """Log ins and refreshes, by what they came to."""
    device = log_in(api, CUSTOMER)
    tokens = [device.refresh_token, device.refresh_token]
    answer = api.post("/auth/refresh", json={"refresh_token": tokens[0]})
    for token in (*tokens[1:], answer.json()["refresh_token"], tokens[0], "made up"):
        api.post("/auth/refresh", json={"refresh_token": token})
    api.post("/auth/login", json={"email": CUSTOMER, "password": "wrong"})
    assert samples(api, "marketplace_sessions_total") == {
        ("created",): 1,
        ("refreshed",): 2,
        ("replayed",): 1,
        ("reuse_detected",): 1,
        ("refused",): 1,
        ("login_refused",): 1,
    }


def test_durations_of_requests(api: httpx.Client) -> None:
    """By route and status: the template of the route, so that ids make no series of their own; that of HEAD, too."""
    api.get("/products/018f0000-0000-7000-8000-000000000000")
    api.head("/healthz")
    counted = samples(api, "http_server_request_duration_seconds_count")
    assert counted[("/products/{product_id}", "404")] == 1
    assert counted[("/healthz", "200")] == 1


def pool_samples(api: httpx.Client) -> dict[str, float]:
    """Of the pool of connections, those that are counts; connections by their state."""
    prefix = "db_client_connection_"
    return {
        sample.name.removeprefix(prefix) + (f" {state}" if state else ""): sample.value
        for family in text_string_to_metric_families(api.get("/metrics").text)
        for sample in family.samples
        if sample.name.startswith(prefix)
        and not sample.name.endswith(("_bucket", "_sum", "_created"))
        for state in [sample.labels.get("db_client_connection_state")]
    }


def test_the_pool(
    shop: Engine, serve: Callable[..., httpx.Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its one connection in use, by somebody who waits for a lock; somebody else did not get it in time."""
    for name, value in (("MAX", "1"), ("MIN", "1"), ("TIMEOUT", "1s")):
        monkeypatch.setenv(f"HOLDFAST_POOL_{name}", value)
    api = serve()
    with ThreadPoolExecutor(1) as thread:
        with shop.begin() as somebody:
            somebody.execute(text("LOCK TABLE products"))
            page = thread.submit(httpx.get, f"{api.base_url}/products", timeout=LIMIT)
            until_waiting(somebody)
            assert api.get("/readyz").status_code == 503
            found = pool_samples(api)
        assert page.result().status_code == 200
    assert (found["count used"], found["count idle"], found["max"]) == (1, 0, 1)
    assert (found["idle_max"], found["idle_min"], found["pending_requests"]) == (1, 1, 0)
    assert found["timeouts_total"] == 1
    assert found["create_time_seconds_count"] >= 1
    assert found["wait_time_seconds_count"] >= 1
    # A second page needs the one connection, so the first has given it back.
    assert api.get("/products").status_code == 200
    assert pool_samples(api)["use_time_seconds_count"] >= 1


def until_waiting(connection: Connection) -> None:
    """Somebody waits for a lock of this database."""
    waiting = text(
        "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database"
        " WHERE NOT granted AND datname = current_database()"
    )
    limit = time.monotonic() + LIMIT
    while not connection.scalar(waiting):
        assert time.monotonic() < limit, f"nobody waited for a lock in {LIMIT} s"
