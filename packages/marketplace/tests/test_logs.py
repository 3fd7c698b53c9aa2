"""The log: one line an event, and no secret in it."""

import io
import json
import logging
import re
import sys
import time
from collections.abc import Iterator

import httpx
import pytest
from devices import CUSTOMER, log_in
from pydantic import SecretStr

from marketplace.accounts.tokens import RefreshToken, TokenKeys, seal
from marketplace.demo_data import PASSWORD, demo_id
from marketplace.logs import REDACTED, REQUEST_ID, configure_logs, log_request, redact

LIMIT = 30  # seconds
KEYS = TokenKeys.of(SecretStr("a key of the tests, long enough to be one"))
# Not random: pytest makes names of tests from them.
REFRESH = seal(RefreshToken(session_id=demo_id("x"), generation=0, secret=bytes(32)), keys=KEYS)
VERIFICATION = "hfv_" + "Ab-_" * 16


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What is logged from here on."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    root.handlers.clear()  # those of pytest are not ours to close
    configure_logs()
    yield written
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("event", f"presented {REFRESH}", f"presented {REDACTED}"),
        ("event", f"mailed {VERIFICATION}.", f"mailed {REDACTED}."),
        ("event", "Bearer eyJhbGciOi.eyJzdWIi.c2ln", f"Bearer {REDACTED}"),
        ("url", "postgresql://me:secret@db/shop", f"postgresql://{REDACTED}@db/shop"),
        ("Authorization", "Basic eA==", REDACTED),
        ("cookie", "refresh_token=x", REDACTED),
        ("new_password", "secret", REDACTED),
        ("token_digest", "0a1b2c3d", "0a1b2c3d"),
        ("headers", {"Cookie": "x", "Host": "shop"}, {"Cookie": REDACTED, "Host": "shop"}),
        ("arguments", [REFRESH, 1], [REDACTED, 1]),
        ("error", ValueError(REFRESH), REDACTED),
        ("status", 200, 200),
    ],
)
def test_redaction(name: str, value: object, expected: object) -> None:
    """By the name of a value, and by the form of a text, however deep."""
    assert redact(None, "info", {name: value}) == {name: expected}


def test_lines_are_json(log: io.StringIO) -> None:
    """With what was given along, and with a traceback that is redacted too."""
    logger = logging.getLogger("somebody")
    logger.info("seen %s", REFRESH, extra={"password": "secret", "status": 7})
    logger.error("failed", exc_info=ValueError(f"bad {REFRESH}"))
    first, second = map(json.loads, log.getvalue().splitlines())
    assert (first["event"], first["password"], first["status"]) == (f"seen {REDACTED}", REDACTED, 7)
    assert (first["level"], first["logger"]) == ("info", "somebody")
    assert second["exception"].endswith(f"ValueError: bad {REDACTED}")


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("level", [logging.INFO, logging.DEBUG])
def test_on_a_terminal(log: io.StringIO, monkeypatch: pytest.MonkeyPatch, level: int) -> None:
    """Time, level and event for a person; whatever asked for SQL statements, they are shown at the level debug."""
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    configure_logs(level=level)
    statements = logging.getLogger("sqlalchemy.engine.Engine.of_this_test")
    statements.setLevel(logging.INFO)  # as holdfast does where a setting asks for them
    statements.info("SELECT 1")
    logging.getLogger("somebody").warning("seen %s", REFRESH)
    lines = [re.sub(r"\x1b\[[\d;]*m", "", line).split() for line in screen.getvalue().splitlines()]
    assert log.getvalue() == ""
    assert re.fullmatch(r"\d\d:\d\d:\d\d", lines[-1][0])
    assert lines[-1][1:] == ["[warning", "]", "seen", REDACTED, "[somebody]"]
    assert [line[3:5] for line in lines[:-1]] == [["SELECT", "1"]] * (level == logging.DEBUG)
    assert "\x1b[" in screen.getvalue()


@pytest.mark.parametrize("route", ["/products/{product_id}", None])
def test_the_line_of_a_request_is_as_any_other(log: io.StringIO, route: str | None) -> None:
    """Requests are written in a way of their own, for speed; what is read is what any other event would have."""
    token = REQUEST_ID.set("0a1b2c3d")
    log_request(method="GET", route=route, status=200, seconds=0.01234)
    facts = {"method": "GET", "route": route, "status": 200, "milliseconds": 12.3}
    logging.getLogger("marketplace.logs").info("another", extra=facts)
    REQUEST_ID.reset(token)
    request, another = (json.loads(line) for line in log.getvalue().splitlines())
    assert list(request) == list(another)
    assert request.pop("timestamp") <= another.pop("timestamp")
    assert request == another | {"event": "request"}


def test_a_request_is_one_line(log: io.StringIO, api: httpx.Client) -> None:
    """Its route and status; no path, no query, no address, and no token of a whole history."""
    device = log_in(api, CUSTOMER)
    api.post("/auth/refresh?token=sesame", json={"refresh_token": device.refresh_token})
    # A line is written once the answer is. The client of the test is in this process too, and logs what it asks for.
    end = time.monotonic() + LIMIT
    while log.getvalue().count('"event": "request"') < 2:
        assert time.monotonic() < end, "the second request was not logged"
        time.sleep(0.01)
    lines = [line for line in log.getvalue().splitlines() if '"httpx"' not in line]
    requests = [line for line in map(json.loads, lines) if line["event"] == "request"]
    assert [(r["method"], r["route"], r["status"]) for r in requests] == [
        ("POST", "/auth/login", 200),
        ("POST", "/auth/refresh", 200),
    ]
    for secret in (device.refresh_token, device.access_token, PASSWORD, "sesame", "127.0.0.1"):
        assert secret not in "".join(lines)
