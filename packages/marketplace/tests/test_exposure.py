"""What an answer says to a browser, and what production does not show."""

import re
import socket
from collections.abc import Callable

import httpx
import pytest
from devices import CUSTOMER, log_in, refusal

from holdfast import Profile
from marketplace.settings import PasswordSettings, RateSettings

PAGES = ("/docs", "/redoc", "/openapi.json", "/metrics")


def in_production(serve: Callable[..., httpx.Client], **settings: object) -> httpx.Client:
    return serve(
        profile=Profile.PRODUCTION,
        mail_url="smtp://127.0.0.1:9",
        password=PasswordSettings(),
        rate=RateSettings(),
        **settings,
    )


def test_what_production_shows(
    serve: Callable[..., httpx.Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither pages nor metrics, unless it is told to; the shop itself as ever, over TLS only from then on."""
    monkeypatch.setenv("HOLDFAST_ALLOW", "superuser")  # as whom the tests connect
    api = in_production(serve)
    for path in PAGES:
        assert refusal(api.get(path)) == (404, "not_found")
    answer = api.get("/products")
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=31536000")
    told = in_production(serve, docs=True, metrics=True)
    assert [told.get(path).status_code for path in PAGES] == [200, 404, 200, 200]


def test_every_answer_protects_a_browser(api: httpx.Client) -> None:
    """Whatever the answer, right or wrong: nothing is run, framed, guessed or told on; and who serves is not said."""
    device = log_in(api, CUSTOMER)
    answers = [
        api.get("/products"),
        api.get("/nowhere"),
        api.get("/docs"),
        api.post("/auth/login", json={}),
        device.get("/auth/me"),
        api.request("DELETE", "/products"),
    ]
    for answer in answers:
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert "Server" not in answer.headers
        assert re.fullmatch("[0-9a-f]{16}", answer.headers["X-Request-Id"])
    assert device.get("/auth/me").headers["Cache-Control"] == "no-store"


def test_the_pages_need_no_other_host(api: httpx.Client) -> None:
    """Every route is on the page, which loads nothing and runs nothing."""
    page = api.get("/docs").text
    assert set(re.findall(r"""(?:src|href|url)[=(]["']?([^"'>]*)""", page)) == {"openapi.json"}
    assert "<script" not in page
    for path in api.get("/openapi.json").json()["paths"]:
        assert path in page


def test_a_host_that_the_client_names(api: httpx.Client) -> None:
    """Is led to by no answer, whatever the path."""
    for path in ("/products/", "/vendors/", "/docs/", "/auth/login/"):
        answer = api.get(path, headers={"Host": "evil.example"})
        assert answer.status_code in {404, 405}
        assert "Location" not in answer.headers
        assert "evil" not in answer.text


def test_head(api: httpx.Client) -> None:
    """Whatever answers GET answers HEAD with the same headers and no body; on the same connection."""
    token = log_in(api, CUSTOMER).access_token
    headers = {"Authorization": f"Bearer {token}"}
    paths = [
        path
        for path, methods in api.get("/openapi.json").json()["paths"].items()
        if "get" in methods and "{" not in path
    ]
    for path in (*paths, "/metrics", "/docs", "/nowhere"):
        got = api.get(path, headers=headers)
        head = api.head(path, headers=headers)
        assert (head.status_code, head.content) == (got.status_code, b""), path
        if path not in {"/metrics", "/auth/me/export"}:  # each tells of the ones before
            assert head.headers["Content-Length"] == got.headers["Content-Length"], path
    assert api.head("/auth/login").status_code == 405
    host, port = api.base_url.host, api.base_url.port
    with socket.create_connection((host, port), timeout=30) as client:
        client.sendall(b"HEAD /healthz HTTP/1.1\r\nHost: shop\r\n\r\n" * 2)
        said = b""
        while said.count(b"HTTP/1.1 200") < 2:
            said += client.recv(65536)
    assert b"ok" not in said.replace(b"200 OK", b"")
