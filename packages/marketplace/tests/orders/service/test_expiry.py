"""Orders that nobody paid for are cancelled after 15 minutes, and their stock is for sale again."""

import asyncio
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Engine, func, select, update
from sqlalchemy.orm import Session
from stock_races import Shop, open_shop

from marketplace.database import Transactions
from marketplace.entities import (
    Order,
    OrderEvent,
    OrderStatus,
    PaymentStatus,
    Product,
    Variant,
    VariantStock,
)
from marketplace.orders.service.expiry import expire_orders

NOW = timedelta()


def test_it_cancels_what_is_overdue(shop: Engine) -> None:
    """Only that; the payment status is left alone, the event says why, the roll-up is right."""

    async def run() -> tuple[int, UUID, UUID]:
        async with open_shop(shop.url) as it:
            await expire_orders(Transactions.on(it.engine))
            [variant_id] = await it.variants(1, stock=10)
            young, old = [UUID((await it.order([(variant_id, 4)])).body["id"]) for _ in range(2)]
            async with it.sessions.begin() as session:
                earlier = func.now() - timedelta(minutes=16)
                await session.execute(
                    update(Order).where(Order.id == old).values(created_at=earlier)
                )
            return await expire_orders(Transactions.on(it.engine)), young, old

    expired, young, old = asyncio.run(run())
    assert expired == 1
    with Session(shop) as session:
        assert (
            session.scalars(select(Order).where(Order.id == young)).one().status
            is OrderStatus.PENDING
        )
        order = session.scalars(select(Order).where(Order.id == old)).one()
        assert (order.status, order.payment_status) == (
            OrderStatus.CANCELLED,
            PaymentStatus.PENDING,
        )
        last = session.scalars(
            select(OrderEvent).where(OrderEvent.order_id == old).order_by(OrderEvent.id.desc())
        ).first()
        assert last is not None
        assert (last.from_state, last.to_state, last.reason) == ("pending", "cancelled", "expired")
        variant = session.scalars(select(Variant).order_by(Variant.id)).first()
        assert variant is not None
        assert session.get_one(VariantStock, variant.id).stock == 6
        sums = (
            select(func.sum(VariantStock.stock))
            .join(Variant, Variant.id == VariantStock.variant_id)
            .where(Variant.product_id == variant.product_id)
        )
        assert session.get_one(Product, variant.product_id).stock == session.scalar(sums)


def test_several_at_once_share_the_work(shop: Engine) -> None:
    """In batches; each order is cancelled once, each unit comes back once; nobody waits or fails."""

    async def run() -> tuple[list[int], list[int]]:
        async with open_shop(shop.url) as it:
            await expire_orders(Transactions.on(it.engine), older_than=NOW)
            variants = await it.variants(3, stock=20)
            for number in range(20):
                await it.order([(variants[number % 3], 1), (variants[(number + 1) % 3], 1)])
            expired = await asyncio.gather(*(_expire(it) for _ in range(4)))
            return expired, [await it.stock(variant_id) for variant_id in variants]

    expired, stock = asyncio.run(run())
    assert sum(expired) == 20
    assert stock == [20, 20, 20]


async def _expire(shop: Shop) -> int:
    return await expire_orders(Transactions.on(shop.engine), older_than=NOW, batch=3)


def test_the_last_of_something_is_held_for_less_long(shop: Engine) -> None:
    """An order that others wait for ends earlier; one of what there is plenty of waits its time."""

    async def run() -> tuple[int, int]:
        async with open_shop(shop.url) as it:
            transactions = Transactions.on(it.engine)
            await expire_orders(transactions)
            plenty, scarce = await it.variants(2, stock=100)
            await it.order([(plenty, 1)])
            await it.order([(scarce, 99)])
            day = timedelta(days=1)
            expired = await expire_orders(transactions, older_than=day, scarce_older_than=NOW)
            return expired, await it.stock(scarce)

    assert asyncio.run(run()) == (1, 100)
