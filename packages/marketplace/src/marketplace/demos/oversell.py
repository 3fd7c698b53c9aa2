"""A race: many buyers want the last units at the same time.

The usual way is written as it is found in the field: read the stock, compare, write back what is left;
then with the row locked. Ours is the product's whole checkout: order, line, event and answer included.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from uuid import uuid4

from pydantic import SecretStr
from sqlalchemy import URL, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import Session

from holdfast import Profile
from holdfast.scratch.server import temporary_server
from marketplace import schema
from marketplace.database import Transactions, open_engine, open_short_engine
from marketplace.demo_data import CUSTOMERS, demo_id, load_demo_data
from marketplace.entities import VariantStock
from marketplace.orders.idempotency import keyed
from marketplace.orders.problems import OutOfStock
from marketplace.orders.schemas import Cart, CartLine
from marketplace.orders.service.checkout import check_out
from marketplace.settings import sqlalchemy_url

AT_ONCE = 16
USUAL_TABLE = text("CREATE TABLE goods (id integer PRIMARY KEY, stock integer NOT NULL)")
STOCK_UP = text(
    "INSERT INTO goods VALUES (1, :stock) ON CONFLICT (id) DO UPDATE SET stock = :stock"
)
READ = text("SELECT stock FROM goods WHERE id = 1")
READ_LOCKED = text("SELECT stock FROM goods WHERE id = 1 FOR UPDATE")
WRITE = text("UPDATE goods SET stock = :stock WHERE id = 1")

Buy = Callable[[], Awaitable[bool]]  # whether it was sold


@dataclass(frozen=True, slots=True, kw_only=True)
class Sale:
    """The result of the sale, done in one way."""

    way: str
    sold: int
    refused: int
    oversold: int
    stock_says: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way to sell one unit, and what its stock column says."""

    name: str
    buy: Buy
    stock: Callable[[], Awaitable[int]]


def oversell(*, units: int, buyers: int) -> Iterator[Sale]:
    """Run the race in each way, and give each result as it is done."""
    with temporary_server() as server:
        url = sqlalchemy_url(SecretStr(server.url("postgres")))
        _prepare(url)
        for open_way in (_unlocked, _locked, _ours):
            yield asyncio.run(_run(url, open_way, units=units, buyers=buyers))


def _prepare(url: URL) -> None:
    engine = open_short_engine(url, profile=Profile.TEST)
    with engine.connect() as connection:
        schema.upgrade(connection)
    with Session(engine) as session:
        load_demo_data(session)
    with engine.begin() as connection:
        connection.execute(USUAL_TABLE)


async def _run(
    url: URL, open_way: Callable[..., Awaitable[Way]], *, units: int, buyers: int
) -> Sale:
    engine = open_engine(url)
    try:
        way = await open_way(engine, units=units)
        return await _sale(way, units=units, buyers=buyers)
    finally:
        await engine.dispose()


async def _sale(way: Way, *, units: int, buyers: int) -> Sale:
    turnstile = asyncio.Semaphore(AT_ONCE)

    async def buyer() -> bool:
        async with turnstile:
            return await way.buy()

    began = time.monotonic()
    sold = sum(await asyncio.gather(*(buyer() for _ in range(buyers))))
    return Sale(
        way=way.name,
        sold=sold,
        refused=buyers - sold,
        oversold=max(0, sold - units),
        stock_says=await way.stock(),
        seconds=time.monotonic() - began,
    )


async def _unlocked(engine: AsyncEngine, *, units: int) -> Way:
    return await _usual(engine, units=units, name="read, check, write", locks=False)


async def _locked(engine: AsyncEngine, *, units: int) -> Way:
    return await _usual(engine, units=units, name="the same, row locked", locks=True)


async def _usual(engine: AsyncEngine, *, units: int, name: str, locks: bool) -> Way:
    async with engine.begin() as connection:
        await connection.execute(STOCK_UP, {"stock": units})

    async def buy() -> bool:
        async with engine.begin() as connection:
            stock = await connection.scalar(READ_LOCKED if locks else READ) or 0
            if stock < 1:
                return False
            await connection.execute(WRITE, {"stock": stock - 1})
            return True

    async def stock() -> int:
        async with engine.connect() as connection:
            return await connection.scalar(READ) or 0

    return Way(name=name, buy=buy, stock=stock)


async def _ours(engine: AsyncEngine, *, units: int) -> Way:
    transactions = Transactions.on(engine)
    sessions = transactions.sessions
    async with sessions.begin() as session:
        variant_id = (await session.scalars(select(VariantStock.variant_id).limit(1))).one()
        chosen = update(VariantStock).where(VariantStock.variant_id == variant_id)
        await session.execute(chosen.values(stock=units))

    async def stock() -> int:
        async with sessions() as session:
            return (await session.get_one(VariantStock, variant_id)).stock

    async def buy() -> bool:
        cart = Cart(lines=[CartLine(variant_id=variant_id, quantity=1)])
        request = keyed(
            demo_id(next(iter(CUSTOMERS))),
            key=str(uuid4()),
            method="POST",
            path="/checkout",
            body=cart.model_dump_json(),
        )
        try:
            await transactions.write_on_driver(check_out, cart, request=request, limits=None)
        except OutOfStock:
            return False
        return True

    return Way(name="ours: a whole order", buy=buy, stock=stock)
