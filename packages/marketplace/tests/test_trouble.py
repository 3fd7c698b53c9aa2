"""Trouble of the database is 503 with Retry-After, and ends with it; the client's connection is kept."""

import http.client
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import psycopg
import pytest
from psycopg import errors
from shoppers import CUSTOMER, OTHER_CUSTOMER, VENDOR, log_in, refusal
from sqlalchemy import Engine, NullPool, create_engine, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.orm.exc import StaleDataError

from holdfast.testing.blockers import wait_until_waiting
from marketplace.demo_data import PASSWORD, demo_id
from marketplace.trouble import trouble_of

LIMIT = 30
LAMP, MUG = demo_id("Alder Lamp, desk"), demo_id("Copper Mug, one")

UNREACHABLE = (
    errors.AdminShutdown,
    errors.CrashShutdown,
    errors.CannotConnectNow,
    errors.DatabaseDropped,
    errors.ConnectionFailure,
    errors.SqlclientUnableToEstablishSqlconnection,
    errors.InvalidPassword,
    errors.InvalidAuthorizationSpecification,
    errors.InvalidCatalogName,
    errors.ReadOnlySqlTransaction,
    errors.IdleInTransactionSessionTimeout,
    errors.IoError,
)
OVERLOADED = (
    errors.DiskFull,
    errors.OutOfMemory,
    errors.TooManyConnections,
    errors.LockNotAvailable,
    errors.QueryCanceled,
    errors.SerializationFailure,
    errors.DeadlockDetected,
)
MISTAKES = (
    errors.UndefinedTable,
    errors.SyntaxError,
    errors.UniqueViolation,
    errors.CheckViolation,
    errors.NumericValueOutOfRange,
)


@pytest.mark.parametrize(
    ("kinds", "code"),
    [(UNREACHABLE, "database_unreachable"), (OVERLOADED, "overloaded"), (MISTAKES, None)],
)
def test_which_errors_are_trouble(kinds: tuple[type[psycopg.Error], ...], code: str | None) -> None:
    """Whatever the SQLSTATE of the trouble, and whether psycopg or SQLAlchemy raises it; a mistake is none."""
    for kind in kinds:
        for error in (kind(), DBAPIError("SELECT", {}, kind())):
            problem = trouble_of(error)
            assert (None if problem is None else problem.code) == code, kind


def test_trouble_without_an_sqlstate() -> None:
    """A connection that broke, and a race that was lost in every attempt."""
    broken = psycopg.OperationalError("server closed the connection unexpectedly")
    for error in (
        broken,
        psycopg.InterfaceError("the connection is closed"),
        OperationalError("SELECT", {}, broken),
        InterfaceError("SELECT", {}, psycopg.InterfaceError("the connection is closed")),
    ):
        assert getattr(trouble_of(error), "code", None) == "database_unreachable"
    assert getattr(trouble_of(StaleDataError()), "code", None) == "overloaded"
    assert trouble_of(ValueError()) is None


def test_a_database_that_goes_and_comes_back(api: httpx.Client, shop: Engine) -> None:
    """Whatever the route asks of it: 503 while it is away, an answer afterwards, on the same connection."""
    token = log_in(api, CUSTOMER).access_token
    client = kept_connection(api)
    login = {"email": CUSTOMER, "password": "wrong"}
    asked: list[tuple[str, str, object]] = [
        ("GET", "/products", None),
        ("GET", "/orders", None),
        ("GET", "/readyz", None),
        ("POST", "/auth/login", login),
        ("POST", "/checkout", {"lines": [{"variant_id": str(LAMP), "quantity": 1}]}),
        ("POST", "/auth/logout", None),
    ]

    def ask(method: str, path: str, body: object) -> http.client.HTTPResponse:
        headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "Idempotency-Key": "a key",
        }
        client.request(method, path, None if body is None else json.dumps(body), headers)
        answer = client.getresponse()
        answer.body = answer.read()  # type: ignore[attr-defined]  # a place to keep it
        return answer

    assert ask(*asked[0]).status == 200
    connection = client.sock
    with away(shop):
        for each in asked:
            answer = ask(*each)
            assert (answer.status, answer.headers["Retry-After"]) == (503, "5"), each
            assert json.loads(answer.body)["code"] == "database_unreachable"  # type: ignore[attr-defined]
            assert client.sock is connection
    for each in asked:
        assert ask(*each).status in {200, 201, 204, 401}, each
        assert client.sock is connection
    client.close()


def test_a_mistake_keeps_the_connection_too(api: httpx.Client, shop: Engine) -> None:
    """Whatever was wrong inside, the next request of a client that keeps its connection is answered."""
    with shop.begin() as connection:
        connection.execute(text("ALTER TABLE products RENAME TO goods"))
    client = kept_connection(api)
    for path, status in (("/products", 500), ("/healthz", 200), ("/products", 500)):
        client.request("GET", path)
        kept = client.sock
        answer = client.getresponse()
        answer.read()
        assert (answer.status, client.sock) == (status, kept)
    client.close()


def test_a_row_that_somebody_holds(
    serve: Callable[..., httpx.Client], shop: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever row it is: those who need it get 503, reads and other writes are answered meanwhile."""
    monkeypatch.setenv("HOLDFAST_POOL_MIN", "1")
    monkeypatch.setenv("HOLDFAST_POOL_MAX", "4")
    monkeypatch.setenv("HOLDFAST_TIMEOUTS_LOCK", "1s")
    api = serve()
    with shop.begin() as connection:
        connection.execute(text("UPDATE variant_stock SET stock = 1000"))
    customer, vendor = log_in(api, CUSTOMER), log_in(api, VENDOR)
    logins = [{"email": OTHER_CUSTOMER, "password": PASSWORD}] * 12
    url = shop.url.set(drivername="postgresql").render_as_string(hide_password=False)
    change = {"note": "counted", "delta": 1, "reason": "counted"}
    for row, wanting in (
        (f"variants WHERE id = '{MUG}'", lambda _: customer.buy((MUG, 1))),
        (
            f"users WHERE email = '{OTHER_CUSTOMER}'",
            lambda login: api.post("/auth/login", json=login),
        ),
    ):
        with ThreadPoolExecutor(12) as threads, held(shop, row):
            waiting = [threads.submit(wanting, login) for login in logins]
            wait_until_waiting(url, sessions=2)
            for _ in range(5):
                assert api.get("/products").status_code == 200
                assert vendor.post(f"/variants/{LAMP}/stock-adjustments", change).status_code == 201
            answers = [each.result(LIMIT) for each in waiting]
        refused = [answer for answer in answers if answer.status_code == 503]
        assert refused
        for answer in refused:
            assert refusal(answer) == (503, "overloaded")
            assert answer.headers["Retry-After"] == "1"


def kept_connection(api: httpx.Client) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(api.base_url.host, api.base_url.port, timeout=LIMIT)


@contextmanager
def held(shop: Engine, row: str) -> Iterator[None]:
    """Somebody holds the lock of that row."""
    with shop.begin() as connection:
        connection.execute(text(f"SELECT FROM {row} FOR UPDATE"))
        yield


@contextmanager
def away(shop: Engine) -> Iterator[None]:
    """The database takes no connections, and those that it had are gone."""
    maintenance = create_engine(
        shop.url.set(database="postgres"), poolclass=NullPool, isolation_level="AUTOCOMMIT"
    )
    name = shop.url.database
    with maintenance.connect() as connection:
        allow = f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS'
        connection.execute(text(f"{allow} false"))
        connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"),
            {"name": name},
        )
        yield
        connection.execute(text(f"{allow} true"))
