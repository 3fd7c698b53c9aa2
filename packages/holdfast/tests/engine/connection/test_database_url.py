"""URLs as providers write them."""

import pytest

from holdfast.engine.connection.database_url import UrlParts, hosts, pool_name, reach, split_url
from holdfast.engine.connection.reach import Reach

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("text", "address", "where"),
    [
        ("postgres://a:b@db/shop", "postgresql+psycopg://a@db/shop", Reach.NETWORK),
        (
            "postgresql+asyncpg://a@db:5433/shop",
            "postgresql+psycopg://a@db:5433/shop",
            Reach.NETWORK,
        ),
        ("postgresql://a@localhost/shop", "postgresql+psycopg://a@localhost/shop", Reach.LOOPBACK),
        ("postgresql://a@127.9.9.9/shop", "postgresql+psycopg://a@127.9.9.9/shop", Reach.LOOPBACK),
        ("postgresql://a@[::1]:5/shop", "postgresql+psycopg://a@[::1]:5/shop", Reach.LOOPBACK),
        (
            "postgresql:///shop?host=/run/pg",
            "postgresql+psycopg:///shop?host=%2Frun%2Fpg",
            Reach.SOCKET,
        ),
        ("postgresql:///shop", "postgresql+psycopg:///shop", Reach.NETWORK),
        (
            "postgresql://a@localhost/shop?hostaddr=10.0.0.1",
            "postgresql+psycopg://a@localhost/shop?hostaddr=10.0.0.1",
            Reach.NETWORK,
        ),
        (
            "postgresql://a@db/shop?hostaddr=127.0.0.1",
            "postgresql+psycopg://a@db/shop?hostaddr=127.0.0.1",
            Reach.LOOPBACK,
        ),
    ],
)
def test_addresses(text: str, address: str, where: Reach) -> None:
    """One driver, no password; no host at all may be anywhere (PGHOST), and hostaddr is where libpq goes."""
    parts = split_url(text)
    assert str(parts.address) == address
    assert reach(parts.address) is where


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://a:b@one:5432,two:5433/shop?application_name=x",
        "postgresql://a:b@/shop?host=one:5432&host=two:5433&application_name=x",
    ],
)
def test_several_hosts(text: str) -> None:
    """libpq's form and SQLAlchemy's."""
    address = split_url(text).address
    assert hosts(address) == ("one", "two")
    assert address.query == {"application_name": "x", "host": ("one:5432", "two:5433")}


def test_one_far_host_makes_the_database_far() -> None:
    """TLS must hold on the worst of the ways."""
    assert reach(split_url("postgresql://a@localhost,db/shop").address) is Reach.NETWORK


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://a:{SECRET}@db/shop?sslmode=verify-full&sslrootcert=/ca.pem",
        f"postgresql://a@db/shop?password={SECRET}&sslmode=verify-full&sslrootcert=/ca.pem",
    ],
)
def test_password_and_tls_are_no_part_of_the_address(text: str) -> None:
    """They are moved to where they are hidden and judged."""
    parts = split_url(text)
    assert (parts.password, parts.sslmode, parts.sslrootcert) == (SECRET, "verify-full", "/ca.pem")
    assert str(parts.address) == "postgresql+psycopg://a@db/shop"
    assert repr(parts) == "UrlParts(postgresql+psycopg://a@db/shop)"
    assert isinstance(parts, UrlParts)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"mysql://a:{SECRET}@db/shop", "it must begin with postgresql://"),
        (
            f"postgresql://a:{SECRET}@db:port/shop",
            "it is not of the form postgresql://user@host:5432/database",
        ),
        (
            f"postgresql://a@db/shop?sslpassword={SECRET}",
            "a sslpassword would be shown wherever the URL is",
        ),
    ],
)
def test_what_is_no_url_is_not_repeated(text: str, problem: str) -> None:
    """The problem, not the text: it may hold a password."""
    with pytest.raises(ValueError) as raised:
        split_url(text)
    assert str(raised.value) == problem


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("postgresql://a@db/shop", "db:5432/shop"),
        ("postgresql://a@db:6/shop", "db:6/shop"),
        ("postgresql:///shop?host=/run&port=7", "/run:7/shop"),
        ("postgresql://a@one,two/shop", "one,two:5432/shop"),
    ],
)
def test_pool_name(text: str, name: str) -> None:
    """As the semantic conventions of OpenTelemetry propose."""
    assert pool_name(split_url(text).address) == name
