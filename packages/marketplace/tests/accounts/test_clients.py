"""Where a request comes from: whom to believe, and what is kept of it."""

import asyncio
from collections.abc import Callable

import httpx
import pytest
from devices import CUSTOMER, log_in
from fastapi import FastAPI, Request
from pydantic import SecretStr

from holdfast import Profile
from marketplace.accounts.clients import (
    UNKNOWN,
    Client,
    client_address,
    client_of,
    stored_address,
    stored_user_agent,
)
from marketplace.app import create_app
from marketplace.settings import SessionSettings, Settings, StoredAddress


@pytest.mark.parametrize(
    ("proxies", "forwarded_for", "expected"),
    [
        (0, ["203.0.113.9"], "192.0.2.1"),
        (1, [], "192.0.2.1"),
        (1, ["203.0.113.9"], "203.0.113.9"),
        (1, ["10.0.0.1, 203.0.113.9"], "203.0.113.9"),
        (1, ["10.0.0.1", "203.0.113.9"], "203.0.113.9"),
        (2, ["10.0.0.1, 203.0.113.9, 198.51.100.7"], "203.0.113.9"),
        (2, ["203.0.113.9"], "192.0.2.1"),
        (1, ["not an address"], "192.0.2.1"),
        (1, ["::ffff:203.0.113.9"], "203.0.113.9"),
        (1, ["2001:db8::1%eth0"], "2001:db8::1"),
    ],
)
def test_the_address(proxies: int, forwarded_for: list[str], expected: str) -> None:
    """What our own proxies saw; what the client adds to the left of it does not count."""
    address = client_address(peer="192.0.2.1", forwarded_for=forwarded_for, trusted_proxies=proxies)
    assert address == expected


def test_no_address() -> None:
    """A unix socket has none."""
    assert client_address(peer=None, forwarded_for=[], trusted_proxies=0) is None
    assert stored_address(None, StoredAddress.FULL) is None


@pytest.mark.parametrize(
    ("address", "precision", "expected"),
    [
        ("203.0.113.9", StoredAddress.FULL, "203.0.113.9"),
        ("203.0.113.9", StoredAddress.NETWORK, "203.0.113.0"),
        ("2001:db8:1:2::3", StoredAddress.NETWORK, "2001:db8:1::"),
        ("203.0.113.9", StoredAddress.NONE, None),
    ],
)
def test_what_is_kept_of_it(address: str, precision: StoredAddress, expected: str | None) -> None:
    """All, the network, nothing."""
    assert stored_address(address, precision) == expected


@pytest.mark.parametrize(
    ("user_agent", "length", "expected"),
    [
        ("a browser", 512, "a browser"),
        ("a browser", 4, "a br"),
        ("a browser", 0, None),
        (None, 9, None),
    ],
)
def test_what_is_kept_of_the_user_agent(
    user_agent: str | None, length: int, expected: str | None
) -> None:
    """Its beginning."""
    kept = stored_user_agent(user_agent, SessionSettings(user_agent_length=length))
    assert kept == expected


def test_behind_a_proxy(serve: Callable[..., httpx.Client]) -> None:
    """The server itself believes no header either."""
    for proxies, expected in ((0, "127.0.0.0"), (1, "203.0.113.0")):
        api = serve(trusted_proxies=proxies, session=SessionSettings(address=StoredAddress.NETWORK))
        api.headers["X-Forwarded-For"] = "198.51.100.1, 203.0.113.9"
        device = log_in(api, CUSTOMER)
        session, *_ = device.get("/auth/sessions").json()["items"]
        assert session["ip_address"] == expected


async def addresses_of(app: FastAPI, peers: list[tuple[str, int]]) -> list[str]:
    scope = {"type": "http", "app": app, "headers": []}
    found = [await client_of(Request({**scope, "client": peer})) for peer in peers]
    return [client.address for client in found]


def test_a_server_that_believes_headers_for_us() -> None:
    """Whichever server in between puts a header in the place of the peer: nobody is known by what it says."""
    nowhere = SecretStr("postgresql://nowhere/shop")
    app = create_app(Settings(profile=Profile.DEVELOPMENT, database_url=nowhere))
    peers = [("203.0.113.9", 4711), ("203.0.113.9", 0)]
    assert asyncio.run(addresses_of(app, peers)) == ["203.0.113.9", UNKNOWN]


@pytest.mark.parametrize(
    ("address", "counted_as"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2::3", "2001:db8:1:2::/64"),
        (UNKNOWN, UNKNOWN),
    ],
)
def test_by_what_requests_are_counted(address: str, counted_as: str) -> None:
    """An address of IPv4, and of IPv6 the network that one customer has whole."""
    client = Client(address=address, stored_address=None, user_agent=None)
    assert client.counted_as == counted_as
