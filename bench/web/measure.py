"""What is asked of each way, and how its answers and its rows are checked."""

import hashlib
import json
import random
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID, uuid4

from pydantic import SecretStr
from seeded import engine_on
from sqlalchemy import Engine, make_url, text

from marketplace.accounts.tokens import TokenKeys, first_token, issue_access_token, seal
from web.clients import Answer, Ask, Check, Client, Unexpected, measured, request
from web.peers import Way
from web.servers import serving

CLIENTS = 32
LINES = 3
POOL = 16
PATHS = ("healthz", "products", "pages", "refresh", "checkout")
SERVER_KEY = "the key of a measurement, long enough to be one"
FAR = 2**31  # seconds since 1970, when the access tokens end
# Every third session of `seeded` is revoked, and the first are past their time.
FIRST_SESSION = 301
RESET = text("""
    UPDATE sessions SET generation = 0, refresh_token_hash = known.digest, previous_token_hash = NULL,
        expires_at = now() + interval '14 days', absolute_expires_at = now() + interval '30 days'
    FROM unnest(CAST(:ids AS uuid[]), CAST(:digests AS bytea[])) AS known (id, digest) WHERE sessions.id = known.id
""")
# A row: how many refreshes are on record; orders with all their lines, an event and an answer; and units sold.
WRITTEN = text("""
    SELECT (SELECT count(*) FROM audit_events WHERE action IN ('session.refreshed', 'session.client_changed')),
           (SELECT count(*) FROM idempotency_keys JOIN orders ON orders.id = (response ->> 'id')::uuid
            WHERE (SELECT count(*) FROM order_lines WHERE order_id = orders.id) = :lines
              AND EXISTS (SELECT FROM order_events WHERE order_id = orders.id)),
           (SELECT sum(:stock - stock) FROM variant_stock) + (SELECT sum(:stock - stock) FROM variants)
""")
STOCK = 100_000_000  # of each variant, at the beginning


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How many rounds, and for how many seconds each path of each way in one."""

    rounds: int
    warm_up: float
    seconds: float


QUICK = Pace(rounds=1, warm_up=2, seconds=4)
FULL = Pace(rounds=2, warm_up=8, seconds=8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Answers a second, and seconds of the server's processor for each."""

    rate: float
    cpu: float

    def or_better(self, other: "Result") -> "Result":
        """The higher rate and the lower cost of two rounds."""
        return Result(rate=max(self.rate, other.rate), cpu=min(self.cpu, other.cpu))


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What is in the database of the work of all clients so far."""

    refreshes: int
    orders: int
    units: int


class World:
    """The rows that the clients know, and their tokens."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.keys = TokenKeys.of(SecretStr(SERVER_KEY))
        self.variants = [_key("a4", number) for number in range(1, 10_001)]

    def clients(self, way: Way) -> list[Client]:
        """A customer each, whose session begins anew."""
        clients = [self._client(3 * place + FIRST_SESSION, way) for place in range(CLIENTS)]
        digests = [hashlib.sha256(client.refresh_token.encode()).digest() for client in clients]
        ids = [client.session_id for client in clients]
        with self.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            connection.execute(RESET, {"ids": ids, "digests": digests})
            connection.exec_driver_sql(
                "VACUUM (ANALYZE) sessions, variants, variant_stock, orders, order_lines"
            )
        return clients

    def written(self) -> Written:
        """What the database says that was done."""
        with self.engine.connect() as connection:
            refreshes, orders, units = connection.execute(
                WRITTEN, {"lines": LINES, "stock": STOCK}
            ).one()
        return Written(refreshes=refreshes, orders=orders, units=units)

    def _client(self, number: int, way: Way) -> Client:
        session_id, user_id = UUID(_key("a9", number)), UUID(_key("a0", 1 + number % 2000))
        access_token = issue_access_token(
            session_id, user_id=user_id, now=0, lifetime=timedelta(seconds=FAR), keys=self.keys
        )
        ours = seal(first_token(session_id), keys=self.keys)
        return Client(
            number=number,
            session_id=str(session_id),
            access_token=access_token,
            refresh_token=ours if way.is_ours else f"{session_id}.{'s' * 43}",
        )

    def ask(self, path: str) -> Ask:
        """What a client sends on a path."""
        if path in {"healthz", "products"}:
            sent = request("GET", "/healthz" if path == "healthz" else "/products?limit=20")
            return lambda _: sent
        if path == "pages":
            return _next_page
        if path == "refresh":
            return lambda client: request(
                "POST", "/auth/refresh", body={"refresh_token": client.refresh_token}
            )
        return self._order

    def _order(self, client: Client) -> bytes:
        lines = [
            {"variant_id": variant, "quantity": 1}
            for variant in random.sample(self.variants, LINES)
        ]
        return request(
            "POST",
            "/checkout",
            body={"lines": lines},
            Authorization=f"Bearer {client.access_token}",
            Idempotency_Key=str(uuid4()),
        )


def _next_page(client: Client) -> bytes:
    """The page behind the last one: each client begins at another place, so no two ask for the same."""
    cursor = client.memory.get("cursor")
    if cursor is None:
        return request("GET", f"/products?limit={1 + client.number // 3 % CLIENTS}")
    return request("GET", f"/products?limit=20&cursor={quote(cursor)}")


def _require(is_so: bool, answer: Answer) -> None:
    if not is_so:
        raise Unexpected(f"{answer.status}: {answer.body[:500]!r}")


def check_health(_: Client, answer: Answer) -> None:
    _require(answer.status == 200, answer)


def check_products(_: Client, answer: Answer) -> None:
    """Twenty, each with the name of its vendor and its subcategory, and a next page."""
    _require(answer.status == 200, answer)
    body = answer.body.replace(b" ", b"")
    _require(body.count(b'"vendor":{"id"') == 20 == body.count(b'"subcategory":{"id"'), answer)
    _require(b'"next_cursor":null' not in body, answer)


def check_page(client: Client, answer: Answer) -> None:
    """As many as were asked for, but on the last page; the next one is asked for next."""
    _require(answer.status == 200, answer)
    body, has_begun = answer.json(), "cursor" in client.memory
    client.memory["cursor"] = body["next_cursor"]
    is_whole = not has_begun or body["next_cursor"] is None or len(body["items"]) == 20
    _require(is_whole and all(each["vendor"]["id"] for each in body["items"]), answer)
    if body["next_cursor"] is None:
        del client.memory["cursor"]


def check_refresh(client: Client, answer: Answer) -> None:
    """Another token than before, which is presented next."""
    _require(answer.status == 200, answer)
    token = answer.json()["refresh_token"]
    _require(token != client.refresh_token, answer)
    client.refresh_token = token


def check_order(_: Client, answer: Answer) -> None:
    """Three lines, whose prices and the shipping make the total."""
    _require(answer.status == 201, answer)
    order = answer.json()
    _require(len(order["lines"]) == LINES and order["total"] == 790, answer)


CHECKS: dict[str, Check] = {
    "healthz": check_health,
    "products": check_products,
    "pages": check_page,
    "refresh": check_refresh,
    "checkout": check_order,
}


async def measure_way(way: Way, *, url: str, folder: Path, pace: Pace) -> dict[str, Result]:
    """Each path of one way, on a server that is started for it. Raises `Unexpected`."""
    world = World(engine_on(url))
    found = {}
    with serving(
        way.command, environment=_environment(way, url, folder), log=folder / "log"
    ) as server:
        for path in PATHS:
            clients, before = world.clients(way), world.written()
            rate, cpu = await measured(
                server.port,
                clients,
                world.ask(path),
                CHECKS[path],
                warm_up=pace.warm_up,
                seconds=pace.seconds,
                cpu=server.cpu,
            )
            _require_written(path, sum(client.done for client in clients), before, world.written())
            found[path] = Result(rate=rate, cpu=cpu)
    return found


def _require_written(path: str, answers: int, before: Written, after: Written) -> None:
    refreshes, orders = (answers if path == name else 0 for name in ("refresh", "checkout"))
    expected = Written(
        refreshes=before.refreshes + refreshes,
        orders=before.orders + orders,
        units=before.units + orders * LINES,
    )
    if after != expected:
        raise Unexpected(f"{path}: {after} is in the database, answered was {expected}")


def _environment(way: Way, url: str, folder: Path) -> dict[str, str]:
    """What the server has to know: the database, the keys, and how many connections it may have."""
    address = make_url(url)
    world = {
        "socket": address.query["host"],
        "port": int(str(address.query.get("port", 5432))),
        "user": address.username,
        "database": address.database,
        "access_key": TokenKeys.of(SecretStr(SERVER_KEY)).access.hex(),
        "pool": POOL,
    }
    path = folder / "world.json"
    path.write_text(json.dumps(world))
    often = "100000000/minute"
    ours: dict[str, Any] = {
        "DATABASE_URL": url,
        "HOLDFAST_PROFILE": "development",
        "HOLDFAST_POOL_MAX": str(POOL),
        "MARKETPLACE_SERVER_KEY": SERVER_KEY,
        "MARKETPLACE_BACKGROUND_ENABLED": "false",
        "MARKETPLACE_RATE_REFRESH_PER_IP": often,
        "MARKETPLACE_RATE_REFRESH_PER_ACCOUNT": often,
        "MARKETPLACE_RATE_CHECKOUT_PER_ACCOUNT": often,
        "MARKETPLACE_ORDER_MOST_OPEN": "100000000",
        "MARKETPLACE_ORDER_MOST_UNPAID_PER_DAY": "100000000",
    }
    return {"SHOP_WORLD": str(path)} | way.environment | (ours if way.is_ours else {})


def _key(kind: str, number: int) -> str:
    """As `seeded` makes keys."""
    return str(UUID(f"{kind}{number:030x}"))
