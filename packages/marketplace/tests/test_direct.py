"""A direct route answers as its ordinary route does, whatever the request: that one FastAPI answers."""

import json
from itertools import count

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from shoppers import CUSTOMER, log_in
from starlette.datastructures import Headers
from starlette.routing import Match

from holdfast import Profile
from marketplace.app import create_app
from marketplace.demo_data import PASSWORD, demo_id
from marketplace.direct import DIRECT, DirectRoutes
from marketplace.settings import Settings

PLAIN, ORDINARY = "application/json", "application/json; charset=utf-8"
LINE = {"variant_id": "018f0000-0000-7000-8000-000000000000", "quantity": 1}
BODIES: tuple[bytes, ...] = (
    b"",
    b"nothing",
    b"null",
    b"[]",
    b"{}",
    b'{"lines": [',
    b"\xff\xfe",
    b"\xef\xbb\xbf{}",
    '{"lines": []}'.encode("utf-16"),
    b'{"refresh_token": "a", "refresh_token": "b"}',
    b'{"refresh_token": null}',
    b'{"refresh_token": 1}',
    b'{"refresh_token": ""}',
    b'{"refresh_token": "\\ud800"}',
    b'{"refresh_token": "a\x01b"}',
    b'{"refresh_token": "a", "more": NaN}',
    json.dumps({"refresh_token": "x" * 5000}).encode(),
    json.dumps({"refresh_token": "hfr_made_up"}).encode(),
    b"[" * 300,
    json.dumps({"lines": []}).encode(),
    json.dumps({"lines": [LINE]}).encode(),
    json.dumps({"lines": [LINE] * 51}).encode(),
    json.dumps({"lines": [LINE | {"quantity": 0}]}).encode(),
    json.dumps({"lines": [LINE | {"quantity": "1"}]}).encode(),
    json.dumps({"lines": [LINE | {"quantity": 1.0}]}).encode(),
    json.dumps({"lines": [LINE | {"quantity": 1.5}]}).encode(),
    json.dumps({"lines": [LINE | {"quantity": True}]}).encode(),
    json.dumps({"lines": [LINE | {"quantity": 10**40}]}).encode(),
    json.dumps({"lines": [LINE | {"variant_id": "{018f000000007000 8000000000000000}"}]}).encode(),
    json.dumps({"lines": [LINE | {"variant_id": 5}]}).encode(),
    json.dumps({"lines": [LINE | {"price": 1}], "voucher": None}).encode(),
    json.dumps({"lines": [LINE], "delivery_address": {"city": "\x00"}}).encode(),
    json.dumps({"lines": [LINE] * 10_000}).encode(),
)
NAMES_OF_ITS_OWN = {"date", "x-request-id", "content-length"}


def said(answer: httpx.Response) -> tuple[int, object, dict[str, str]]:
    """Status, body and headers, but for what no two answers have in common."""
    body = answer.json()
    body.pop("request_id", None)
    headers = {k: v for k, v in answer.headers.items() if k not in NAMES_OF_ITS_OWN}
    return answer.status_code, body, headers


@pytest.mark.parametrize("path", ["/checkout", "/auth/refresh"])
def test_what_is_wrong_is_told_as_fastapi_tells_it(api: httpx.Client, path: str) -> None:
    """Every body, with each kind of credentials and key: the same status, problem, faults and headers."""
    token = log_in(api, CUSTOMER).access_token
    heads = (
        {},
        {"Authorization": f"Basic {token}", "Idempotency-Key": "k"},
        {"Authorization": f"bearer {token}", "Idempotency-Key": "k" * 300},
        {"Authorization": f"Bearer {token}", "Idempotency-Key": "a key"},
        {"Cookie": "__Secure-refresh_token=made up"},
    )
    for body in BODIES:
        for head in heads:
            plain, ordinary = (
                said(api.post(path, content=body, headers=head | {"Content-Type": kind}))
                for kind in (PLAIN, ORDINARY)
            )
            assert plain == ordinary, (body[:80], head)


def test_what_is_done_is_told_in_the_same_way(api: httpx.Client) -> None:
    """An order, the same once more, and a refresh by body and by cookie: status, names in body and in headers."""
    token = log_in(api, CUSTOMER).access_token
    cart = json.dumps({"lines": [LINE | {"variant_id": str(demo_id("Alder Lamp, desk"))}]})
    keys = count()

    def order(kind: str) -> list[tuple[int, list[str], list[str]]]:
        head = {"Authorization": f"Bearer {token}", "Idempotency-Key": f"key {next(keys)}"}
        head |= {"Content-Type": kind}
        return [shape(api.post("/checkout", content=cart, headers=head)) for _ in range(2)]

    def refreshed(kind: str, delivery: str) -> tuple[int, list[str], list[str]]:
        form = {"email": CUSTOMER, "password": PASSWORD, "delivery": delivery}
        opened = api.post("/auth/login", json=form)
        cookie = opened.headers.get("set-cookie", "").partition(";")[0]
        body = json.dumps({"refresh_token": opened.json()["refresh_token"]})
        head = {"Cookie": cookie, "Content-Type": kind}
        api.cookies.clear()
        return shape(api.post("/auth/refresh", content=body, headers=head))

    first, again = order(PLAIN)
    assert [first, again] == order(ORDINARY)
    assert (first[0], "idempotent-replayed" in again[1]) == (201, True)
    for delivery in ("body", "cookie"):
        assert refreshed(PLAIN, delivery) == refreshed(ORDINARY, delivery)
        assert refreshed(PLAIN, delivery)[0] == 200


def shape(answer: httpx.Response) -> tuple[int, list[str], list[str]]:
    """Its status, the names of its headers, and those in its body."""
    return answer.status_code, sorted(answer.headers), list(answer.json())


@pytest.mark.parametrize(
    ("method", "path", "headers", "is_direct"),
    [
        ("GET", "/products", {}, True),
        ("GET", "/products/", {}, False),
        ("POST", "/products", {"content-type": PLAIN}, False),
        ("POST", "/checkout", {"content-type": PLAIN}, True),
        ("POST", "/checkout", {"content-type": ORDINARY}, False),
        ("POST", "/checkout", {}, False),
        ("GET", "/checkout", {"content-type": PLAIN}, False),
        ("POST", "/auth/refresh", {"content-type": PLAIN}, True),
    ],
)
def test_which_requests_are_direct(
    application: FastAPI, method: str, path: str, headers: dict[str, str], is_direct: bool
) -> None:
    """A plain one of a direct route; its scope says the route that documents it, for the log and the metrics."""
    [direct] = [each for each in application.router.routes if isinstance(each, DirectRoutes)]
    raw = Headers(headers).raw
    scope = {"type": "http", "method": method, "path": path, "headers": raw, "root_path": ""}
    match, found = direct.matches(scope)
    assert (match is Match.FULL) == is_direct
    if is_direct:
        assert found["route"].path_format == path
        assert found[DIRECT].route is found["route"]


@pytest.fixture(scope="module")
def application() -> FastAPI:
    """The API, which nobody serves."""
    nowhere = SecretStr("postgresql://nobody@127.0.0.1:1/nothing")
    return create_app(Settings(profile=Profile.DEVELOPMENT, database_url=nowhere))
