"""What Prometheus fetches."""

import httpx
from devices import CUSTOMER, log_in
from prometheus_client.parser import text_string_to_metric_families


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
    """By route and status: the template of the route, so that ids make no series of their own."""
    api.get("/products/018f0000-0000-7000-8000-000000000000")
    api.get("/healthz")
    counted = samples(api, "http_server_request_duration_seconds_count")
    assert counted[("/products/{product_id}", "404")] == 1
    assert counted[("/healthz", "200")] == 1
