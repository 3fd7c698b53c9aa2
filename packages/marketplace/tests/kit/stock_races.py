"""Races about stock and orders, each on real connections, through the product's own checkout.

Used by the tests with small numbers, and by `./dev prove stock` with large ones.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID, uuid4

from sqlalchemy import URL, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from marketplace.database import Transactions, open_engine, sessions_of
from marketplace.demo_data import demo_id
from marketplace.entities import IdempotencyKey, Order, OrderLine, VariantStock
from marketplace.orders.idempotency import KeyedRequest, keyed
from marketplace.orders.problems import OutOfStock, RequestInFlight
from marketplace.orders.schemas import Cart, CartLine
from marketplace.orders.service.checkout import Answer, check_out
from marketplace.placement import Placement

Thing = TypeVar("Thing")
T = TypeVar("T")
CUSTOMER = demo_id("customer@example.com")
AT_ONCE = 16
DEADLOCKS = text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """The demo shop on a database, with some workers' worth of connections."""

    engine: AsyncEngine
    sessions: async_sessionmaker[AsyncSession]
    placement: Placement = Placement.ONE_SERVER

    @property
    def transactions(self) -> Transactions:
        return Transactions.on(self.engine, placement=self.placement)

    async def variants(self, number: int, *, stock: int) -> list[UUID]:
        """So many, each with so much stock."""
        async with self.sessions.begin() as session:
            query = select(VariantStock.variant_id).order_by(VariantStock.variant_id).limit(number)
            variant_ids = list(await session.scalars(query))
            chosen = VariantStock.variant_id.in_(variant_ids)
            await session.execute(update(VariantStock).where(chosen).values(stock=stock))
        return variant_ids

    async def order(self, lines: Sequence[tuple[UUID, int]], *, key: str | None = None) -> Answer:
        cart = Cart(lines=[CartLine(variant_id=v, quantity=q) for v, q in lines])
        request = request_for(cart, key=key)
        return await self.transactions.write_on_driver(
            check_out, cart, request=request, limits=None, placement=self.placement
        )

    async def stock(self, variant_id: UUID) -> int:
        async with self.sessions() as session:
            return (await session.get_one(VariantStock, variant_id)).stock

    async def sold(self, variant_id: UUID) -> int:
        """By the lines of orders."""
        total = select(func.coalesce(func.sum(OrderLine.quantity), 0))
        async with self.sessions() as session:
            ordered = total.where(OrderLine.variant_id == variant_id)
            return await session.scalar(ordered) or 0

    async def stocks(self, answer: Answer) -> list[int]:
        """What is left of each line of an order."""
        return [await self.stock(UUID(line["variant_id"])) for line in answer.body["lines"]]

    async def orders(self) -> int:
        async with self.sessions() as session:
            return await session.scalar(select(func.count()).select_from(Order)) or 0

    async def deadlocks(self) -> int:
        """As PostgreSQL counts them; a backend reports what it counted when it is idle or ends."""
        async with self.sessions() as session:
            await session.execute(text("SELECT pg_stat_force_next_flush()"))
            return await session.scalar(DEADLOCKS) or 0


def request_for(cart: Cart, *, key: str | None = None) -> KeyedRequest:
    return keyed(
        CUSTOMER,
        key=key or str(uuid4()),
        method="POST",
        path="/checkout",
        body=cart.model_dump_json(),
    )


@asynccontextmanager
async def open_shop(
    url: URL, *, placement: Placement = Placement.ONE_SERVER
) -> AsyncIterator[Shop]:
    engine = open_engine(url)
    try:
        sessions = sessions_of(engine, placement=placement)
        yield Shop(engine=engine, sessions=sessions, placement=placement)
    finally:
        await engine.dispose()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sale:
    """What many buyers of few units came to."""

    bought: int
    refused: int
    left: int
    in_lines: int


async def sale(shop: Shop, *, units: int, buyers: int) -> Sale:
    """Each buyer wants one unit of the same variant."""
    [variant_id] = await shop.variants(1, stock=units)
    before = await shop.sold(variant_id)

    async def buy(_: int) -> bool:
        try:
            await shop.order([(variant_id, 1)])
        except OutOfStock:
            return False
        return True

    outcomes = Counter(await workers(buy, range(buyers)))
    return Sale(
        bought=outcomes[True],
        refused=outcomes[False],
        left=await shop.stock(variant_id),
        in_lines=await shop.sold(variant_id) - before,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicates:
    """What several requests with each key came to."""

    placed: int
    replayed: int
    in_flight: int
    orders: int
    different_answers: int


async def duplicates(shop: Shop, *, keys: int, each: int, prefix: str = "key") -> Duplicates:
    """For each key `each` requests at the same time; what was in flight is not sent again."""
    [variant_id] = await shop.variants(1, stock=keys * each)
    before = await shop.orders()
    answers: dict[str, set[str]] = {}

    async def buy(key: str) -> str:
        try:
            answer = await shop.order([(variant_id, 1)], key=key)
        except RequestInFlight:
            return "in flight"
        answers.setdefault(key, set()).add(answer.body["id"])
        return "replayed" if answer.is_replay else "placed"

    names = [f"{prefix} {number}" for number in range(keys) for _ in range(each)]
    outcomes = Counter(await workers(buy, names))
    return Duplicates(
        placed=outcomes["placed"],
        replayed=outcomes["replayed"],
        in_flight=outcomes["in flight"],
        orders=await shop.orders() - before,
        different_answers=sum(len(ids) - 1 for ids in answers.values()),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """What orders of several lines over the same few variants came to."""

    orders: int
    deadlocks: int


async def crossing(shop: Shop, *, orders: int, lines: int = 5, variants: int = 20) -> Crossing:
    """Each cart in an order of its own."""
    variant_ids = await shop.variants(variants, stock=orders * lines)
    before, deadlocks = await shop.orders(), await shop.deadlocks()

    async def buy(_: int) -> None:
        await shop.order([(variant_id, 1) for variant_id in random.sample(variant_ids, lines)])

    await workers(buy, range(orders))
    return Crossing(
        orders=await shop.orders() - before, deadlocks=await shop.deadlocks() - deadlocks
    )


async def overtaken(shop: Shop, variant_id: UUID, *, left: int) -> Answer:
    """An order whose key gets its answer from another one, after it has found none and before it takes its stock.

    The lock of the key cannot help: the other one gave it free when it committed. `left` is the stock afterwards.
    """
    cart = Cart(lines=[CartLine(variant_id=variant_id, quantity=1)])
    request = request_for(cart)
    sold = text("UPDATE variant_stock SET stock = :left WHERE variant_id = :id")
    async with shop.sessions.begin() as other:
        await other.execute(sold, {"id": variant_id, "left": left})
        transactions = Transactions.on(shop.engine)
        order = asyncio.create_task(
            transactions.write_on_driver(check_out, cart, request=request, limits=None)
        )
        await until_waiting(shop)
        known = IdempotencyKey(
            user_id=request.user_id,
            key=request.key,
            method=request.method,
            path=request.path,
            fingerprint=request.fingerprint,
            status=201,
            response={"id": "the first"},
            expires_at=datetime.now(UTC) + timedelta(days=1),
        )
        other.add(known)
    return await order


async def deadlocked(shop: Shop) -> Answer:
    """An order of two lines against somebody who takes the same rows the other way round.

    The other one would wait for a deadlock to be found for ever: the checkout is what PostgreSQL ends.
    """
    first, second = await shop.variants(2, stock=10)
    take = text("SELECT FROM variants WHERE id = :id FOR NO KEY UPDATE")
    async with shop.sessions.begin() as other:
        await other.execute(text("SET LOCAL deadlock_timeout = '60s'"))
        await other.execute(take, {"id": second})
        order = asyncio.create_task(shop.order([(first, 1), (second, 1)]))
        await until_waiting(shop)
        await other.execute(take, {"id": first})
    return await order


async def until_waiting(shop: Shop) -> None:
    """Somebody waits for a lock."""
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    async with asyncio.timeout(30), shop.engine.connect() as connection:
        while not await connection.scalar(waiting):  # noqa: ASYNC110  # the lock is PostgreSQL's
            await asyncio.sleep(0.005)


async def workers(work: Callable[[Thing], Awaitable[T]], things: Iterable[Thing]) -> list[T]:
    """Results, at most AT_ONCE at a time."""
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(thing: Thing) -> T:
        async with limit:
            return await work(thing)

    return await asyncio.gather(*(one(thing) for thing in things))
