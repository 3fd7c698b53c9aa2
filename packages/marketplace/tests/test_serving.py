"""Clients that send or read too slowly cost nobody else anything, and are cut off."""

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from itertools import cycle
from typing import Any

import httpx
import pytest
import uvicorn
from everywhere import everywhere
from fastapi import FastAPI
from shoppers import ADMIN, CUSTOMER, VENDOR, log_in
from slow_clients import connected, never_reading, request_head, until_closed

from marketplace.demo_data import demo_id
from marketplace.serving import PatientProtocol

LIMIT = 30
SOON = timedelta(milliseconds=300)
PLACEHOLDERS = {
    "product_id": demo_id("Alder Lamp"),
    "variant_id": demo_id("Alder Lamp, desk"),
    "vendor_id": demo_id("Alder & Ash"),
    "category_id": demo_id("Home"),
    "subcategory_id": demo_id("Lamps"),
    "user_id": demo_id(CUSTOMER),
}

Serve = Callable[..., tuple[httpx.Client, uvicorn.Server]]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server waits for nobody longer than a moment."""
    for name in ("head", "read", "linger"):
        monkeypatch.setattr(PatientProtocol, name, SOON)


def test_a_client_that_never_reads_holds_no_connection(
    serve_with_server: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the route, and however many such clients: the pool is whole, and others are answered."""
    monkeypatch.setenv("HOLDFAST_LOG_SQL", "off")
    monkeypatch.setenv("HOLDFAST_POOL_MIN", "1")
    monkeypatch.setenv("HOLDFAST_POOL_MAX", "2")
    api, server = serve_with_server(send_buffer=4096)
    order_id = log_in(api, CUSTOMER).get("/orders").json()["items"][0]["id"]
    tokens = cycle([log_in(api, email).access_token for email in (ADMIN, VENDOR, CUSTOMER)])
    paths = [
        path for path, route in api.get("/openapi.json").json()["paths"].items() if "get" in route
    ]
    assert len(paths) > 15
    tried = paths if everywhere() else paths[::6]
    named = [path.format(**PLACEHOLDERS, order_id=order_id) for path in tried]
    requests = [request_head(path, token=next(tokens)) for path in named]
    with never_reading(api, requests):
        until(lambda: figures_of(server).used == 0, "a connection is held")
        for path in ("/products", "/vendors", "/readyz"):
            assert api.get(path).status_code == 200


def test_half_a_request_is_cut_off(api: httpx.Client, impatient: None) -> None:
    """Whatever is missing of its head, nothing at all included, and however slowly it trickles in."""
    for beginning in (b"", b"GET /pro", b"GET /products HTTP/1.1\r\nHost: shop\r\n"):
        with connected(api) as client:
            client.sendall(beginning)
            assert until_closed(client) == b""
    with connected(api) as client:
        client.sendall(request_head("/healthz"))
        until_answered(client)
        trickle(client.sendall, b"GET /healthz HTTP/1.1\r\nX-Slow: ")
        assert until_closed(client) == b""
    assert api.get("/products").status_code == 200


def test_a_head_has_a_limit(api: httpx.Client) -> None:
    """However it is split, and whether it is one header or many: it is refused before it is complete."""
    for line in (b"X-Long: " + 200_000 * b"x", 20_000 * b"X-Many: x\r\n"):
        with connected(api) as client:
            send_all_that_is_taken(client, b"GET /healthz HTTP/1.1\r\nHost: shop\r\n" + line)
            said = until_closed(client)
            assert said == b"" or said.startswith(b"HTTP/1.1 400")
    assert api.get("/healthz").status_code == 200


def test_half_a_body_is_cut_off(serve: Callable[..., httpx.Client], impatient: None) -> None:
    """Whatever is missing of it: the client is told 408, and nothing else that it sends is read."""
    api = serve(request_body_time=SOON)
    head = b"POST /auth/login HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n"
    for rest in (b"Content-Length: 50\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"):
        with connected(api) as client:
            client.sendall(head + rest)
            said = until_closed(client)
        assert said.startswith(b"HTTP/1.1 408"), said
        assert b'"request_timeout"' in said
    with connected(api) as client:
        client.sendall(head + b"Content-Length: 5000000\r\n\r\n")
        trickle(client.sendall, b" ")
        until_closed(client)


def test_an_answer_that_nobody_takes_is_dropped(serve_with_server: Serve, impatient: None) -> None:
    """Whether it is large or small: the connection is gone, although the client keeps its end."""
    api, server = serve_with_server(send_buffer=4096)
    requests = [request_head("/products?limit=100"), request_head("/healthz")]
    with never_reading(api, requests):
        api.close()
        until(lambda: not server.server_state.connections, "a client is still connected")


def test_a_client_that_takes_its_time_between_requests(api: httpx.Client, impatient: None) -> None:
    """Is no slow client: a connection without a request belongs to the limit for idle ones."""
    with connected(api) as client:
        for _ in range(3):
            client.sendall(request_head("/healthz"))
            until_answered(client)
            time.sleep(1.5 * SOON.total_seconds())


def until_answered(client: socket.socket) -> None:
    said = b""
    while not said.endswith(b'{"status":"ok"}'):
        said += client.recv(65536)
    assert said.startswith(b"HTTP/1.1 200")


def until(is_so: Callable[[], bool], otherwise: str) -> None:
    end = time.monotonic() + LIMIT
    while not is_so():
        assert time.monotonic() < end, otherwise
        time.sleep(0.01)


def send_all_that_is_taken(client: socket.socket, text: bytes) -> None:
    """The server may close before it has read all of it."""
    with suppress(ConnectionError):
        client.sendall(text)


def trickle(send: Callable[[bytes], object], text: bytes) -> None:
    """The text, and then one byte after another, until the server has had enough."""
    end = time.monotonic() + LIMIT
    try:
        send(text)
        while time.monotonic() < end:
            send(b"x")
            time.sleep(SOON.total_seconds() / 10)
    except ConnectionError:
        return
    raise AssertionError("the server still reads")


def figures_of(server: uvicorn.Server) -> Any:
    app = server.config.app
    assert isinstance(app, FastAPI)
    return app.state.engine.sync_engine.pool.figures()
