"""Stock moves, and what belongs to an order says whose it is, while the release before and the newest sell."""

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Event, Lock, Thread
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
import release_before
from alembic.config import Config
from everywhere import each
from psycopg.errors import DeadlockDetected
from psycopg.types.json import Json

from holdfast.migrate.finish import finish
from holdfast.migrate.run import downgrade, upgrade
from marketplace.catalog import stock
from marketplace.orders.service import checkout

BEFORE, MOVED = "9be3f6017da4", "8d20c5f1e6b7"
MANY, FEW, OTHERS, WANTED = 100_000, 60, 200, 12
GOODS = f"""
    INSERT INTO users (id, email, password_hash)
        SELECT lpad(to_hex(n), 32, '0')::uuid, n || '@example.org', 'x' FROM generate_series(1, 20) AS n;
    INSERT INTO categories SELECT gen_random_uuid(), 'Kitchen';
    INSERT INTO subcategories SELECT gen_random_uuid(), id, 'Pots' FROM categories;
    INSERT INTO vendors SELECT gen_random_uuid(), 'Copper Kettle';
    INSERT INTO products (id, vendor_id, subcategory_id, name, stock, price, currency)
        SELECT gen_random_uuid(), v.id, s.id, 'Pot', 0, 1, 'EUR' FROM vendors v, subcategories s;
    INSERT INTO variants (id, product_id, sku, name, price, currency, stock)
        SELECT lpad(to_hex(n), 32, '0')::uuid, products.id, n, 'one', 1, 'EUR',
               CASE n WHEN 1 THEN {FEW} ELSE {MANY} END
        FROM products, generate_series(1, {OTHERS}) AS n;
"""
STOCK = "SELECT {key}, stock FROM {table} ORDER BY 1"
WRONG_OWNERS = """
    SELECT (SELECT count(*) FROM orders JOIN order_lines AS of_it ON of_it.order_id = orders.id
            WHERE of_it.ordered_by_id IS DISTINCT FROM orders.ordered_by_id),
           (SELECT count(*) FROM orders JOIN order_events AS of_it ON of_it.order_id = orders.id
            WHERE of_it.ordered_by_id IS DISTINCT FROM orders.ordered_by_id),
           (SELECT count(*) FROM orders JOIN delivery_addresses AS of_it ON of_it.order_id = orders.id
            WHERE of_it.ordered_by_id IS DISTINCT FROM orders.ordered_by_id)
"""
TRIGGERS = """
    SELECT (SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal),
           (SELECT count(*) FROM pg_proc WHERE proname ~ '^(stock|owner)')
"""
SCARCE = UUID(int=1)  # everybody wants it
LIMIT = 30


@dataclass(kw_only=True)
class Till:
    """What one release has sold and counted in, and what went wrong."""

    take: str
    adjust: str
    orders: tuple[str, ...]
    left: dict[UUID, int] = field(default_factory=dict)  # what is more or less by this till
    rounds: int = 0
    errors: list[str] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def move(self, connection: psycopg.Connection[Any]) -> None:
        """One order of two variants, and one that is counted in."""
        wanted = {SCARCE: 1, some_variant(): 2}
        with connection.transaction() as order:
            lines = Json({str(key): units for key, units in wanted.items()})
            sold = connection.execute(self.take, [lines]).fetchall()
            if len(sold) == len(wanted):
                self.place(connection, sold)
            else:
                wanted = {}
                raise psycopg.Rollback(order)
        self.count({key: -units for key, units in wanted.items()})
        counted = some_variant()
        values = {"delta": 5, "variant_id": counted, "most": stock.MOST_STOCK}
        with connection.transaction():
            assert connection.execute(self.adjust, values).fetchone()
            connection.execute(release_before.EDIT, [counted])
        self.count({counted: 5})

    def place(self, connection: psycopg.Connection[Any], sold: list[tuple[Any, ...]]) -> None:
        """Write the order, as its release does, and confirm it."""
        lines = [
            {
                "line_number": number,
                "variant_id": str(line[0]),
                "vendor_id": str(line[9]),
                "vendor_name": line[10],
                "product_name": line[4],
                "variant_name": line[5],
                "sku": line[6],
                "unit_price": line[7],
                "quantity": line[1],
            }
            for number, line in enumerate(sold, 1)
        ]
        order_id, now = uuid4(), datetime.now(UTC)
        values = {
            **dict.fromkeys(("method", "path", "street", "city", "recipient", "postal_code"), "x"),
            "id": order_id,
            "order_id": order_id,
            "user_id": UUID(int=random.randint(1, 20)),  # noqa: S311  # any of them
            "key": str(order_id),
            "response": Json({"lines": lines}),
            "event_id": uuid4(),
            "currency": "EUR",
            "subtotal": 2,
            "shipping": 0,
            "total": 2,
            "now": now,
            "expires_at": now,
            "fingerprint": bytes(32),
            "addition": None,
            "country": "DE",
        }
        for statement in self.orders:
            connection.execute(statement, values)

    def count(self, moved: dict[UUID, int]) -> None:
        """What was committed."""
        with self.lock:
            for key, units in moved.items():
                self.left[key] = self.left.get(key, 0) + units
            self.rounds += 1


def some_variant() -> UUID:
    return UUID(int=random.randint(2, WANTED))  # noqa: S311  # any of them


@contextmanager
def open_till(till: Till, url: str) -> Iterator[Till]:
    """Two clients of a release for the block."""
    ended = Event()

    def go_on() -> None:
        try:
            with psycopg.connect(url, autocommit=True) as connection:
                while not ended.is_set():
                    with suppress(
                        DeadlockDetected
                    ):  # `Transactions` does it again, as any lost race
                        till.move(connection)
        except psycopg.Error as error:
            till.errors.append(f"{type(error).__name__}: {error}")

    clients = [Thread(target=go_on, daemon=True) for _ in range(2)]
    for client in clients:
        client.start()
    try:
        yield till
    finally:
        ended.set()
        for client in clients:
            client.join(LIMIT)


def old() -> Till:
    return Till(
        take=release_before.TAKE,
        adjust=release_before.ADJUST,
        orders=(release_before.PLACE, release_before.ADD_ADDRESS, release_before.CONFIRM),
    )


def new() -> Till:
    return Till(take=stock.TAKE, adjust=stock.ADJUST, orders=(checkout.PLACE, checkout.ADD_ADDRESS))


def until(is_so: Callable[[], bool]) -> None:
    for _ in range(LIMIT * 100):
        if is_so():
            return
        Event().wait(0.01)
    pytest.fail(f"not within {LIMIT} s")


def stocks(url: str, *, table: str, key: str) -> dict[UUID, int]:
    with psycopg.connect(url) as connection:
        return dict(connection.execute(STOCK.format(table=table, key=key).encode()).fetchall())


def whose(url: str) -> list[tuple[int, ...]]:
    """How many rows of each table have not the owner of their order."""
    with psycopg.connect(url) as connection:
        return connection.execute(WRONG_OWNERS).fetchall()


def expected(before: dict[UUID, int], *tills: Till) -> dict[UUID, int]:
    return {
        key: units + sum(till.left.get(key, 0) for till in tills) for key, units in before.items()
    }


@pytest.fixture
def before(database: str, config: Config) -> dict[UUID, int]:
    """The stock of a shop that is open, at the revision before."""
    upgrade(config, BEFORE)
    with psycopg.connect(database) as connection:
        connection.execute(GOODS.encode())
    return stocks(database, table="variants", key="id")


def test_both_releases_sell_while_it_moves(
    database: str, config: Config, before: dict[UUID, int]
) -> None:
    """Whichever release sells, counts or edits: nothing is sold twice, nothing is lost, no statement fails."""
    first, second = old(), new()
    with ExitStack() as open_shop:
        open_shop.enter_context(open_till(first, database))
        until(lambda: first.rounds > 5)
        upgrade(config, "head", expand=True)
        with open_till(second, database):
            until(lambda: second.rounds > 20)
            reached = first.rounds
            until(lambda: first.rounds > reached + 20)
        with psycopg.connect(database) as connection:
            made = connection.execute(release_before.NEW_VARIANT).fetchone()
        assert made is not None
    assert (first.errors, second.errors) == ([], [])
    now = stocks(database, table="variant_stock", key="variant_id")
    assert now == expected(before, first, second) | {made[0]: 0}
    assert now == stocks(database, table="variants", key="id")
    assert whose(database) == [(0, 0, 0)]
    finish(config, yes=True)
    with open_till(second, database):
        reached = second.rounds
        until(lambda: second.rounds > reached + 5)
    assert second.errors == []
    assert stocks(database, table="variant_stock", key="variant_id") == expected(
        before, first, second
    ) | {made[0]: 0}
    with psycopg.connect(database) as connection:
        assert connection.execute(TRIGGERS).fetchone() == (0, 0)


@pytest.mark.parametrize("is_finished", each([False, True], here=1))
def test_and_back(
    database: str, config: Config, before: dict[UUID, int], *, is_finished: bool
) -> None:
    """A revert, before `finish` (under traffic) or after it, gives the release before every unit that is there."""
    upgrade(config, "head", expand=True)
    if is_finished:
        finish(config, yes=True)
    first, second = old(), new()
    with ExitStack() as open_shop:
        open_shop.enter_context(open_till(second, database))
        until(lambda: second.rounds > 5)
        if (
            is_finished
        ):  # the rows are copied back in the transaction that adds the column: users would wait
            open_shop.close()
        downgrade(config, MOVED)
        with open_till(first, database):
            until(lambda: first.rounds > 5)
    assert (first.errors, second.errors) == ([], [])
    downgrade(config, BEFORE)
    assert stocks(database, table="variants", key="id") == expected(before, first, second)
