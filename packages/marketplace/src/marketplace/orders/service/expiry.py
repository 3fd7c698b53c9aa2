"""Cancels orders that nobody paid for, and puts their stock on sale again.

The payment status stays as it is: what became of the money only the provider can say.
"""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from marketplace.catalog import stock
from marketplace.database import Transactions, driver_of
from marketplace.entities import Order, OrderLine, OrderStatus, VariantStock
from marketplace.orders import transitions
from marketplace.placement import Placement

BATCH = 50


async def expire_orders(
    transactions: Transactions,
    *,
    older_than: timedelta = timedelta(minutes=15),
    scarce_older_than: timedelta | None = None,
    batch: int = BATCH,
) -> int:
    """Cancel overdue orders and say how many, a batch per transaction. Several may run at once: none waits.

    Orders of something that others find no more of (LOW_STOCK or less is left) wait `scarce_older_than` only.
    """
    if transactions.placement is Placement.BY_USER:
        return await _expire_each(transactions, older_than, scarce_older_than, batch=batch)
    queries = [overdue(older_than=older_than, batch=batch)]
    if scarce_older_than is not None:
        queries.append(overdue_and_scarce(older_than=scarce_older_than, batch=batch))
    expired = 0
    for query in queries:
        while cancelled := await transactions.write(_expire_batch, query):
            expired += cancelled
    return expired


async def _expire_batch(session: AsyncSession, query: Select[UUID, UUID]) -> int:
    orders = (await session.execute(query)).all()
    for order_id, owner_id in orders:
        await transitions.move(
            session, order_id, owner_id=owner_id, to=OrderStatus.CANCELLED, reason="expired"
        )
    await stock.give_back_all(await driver_of(session), [order_id for order_id, _ in orders])
    return len(orders)


async def _expire_each(
    transactions: Transactions,
    older_than: timedelta,
    scarce_older_than: timedelta | None,
    *,
    batch: int,
) -> int:
    """Cancel orders one by one where they are divided by user: found on all servers without a lock."""
    expired = await _expire_found(
        transactions, overdue_unlocked(older_than=older_than, batch=batch)
    )
    if scarce_older_than is None:
        return expired
    scarce = await transactions.read(_scarce)
    query = overdue_unlocked(older_than=scarce_older_than, batch=batch).where(_holds(scarce))
    return expired + await _expire_found(transactions, query)


async def _expire_found(transactions: Transactions, query: Select[UUID, UUID]) -> int:
    expired = 0
    while orders := await transactions.read(_due, query):
        for order_id, owner_id in orders:
            expired += await transactions.write(_expire, order_id, owner_id=owner_id)
    return expired


async def _expire(session: AsyncSession, order_id: UUID, *, owner_id: UUID) -> int:
    moved = await transitions.try_to_move(
        session, order_id, owner_id=owner_id, to=OrderStatus.CANCELLED, reason="expired"
    )
    if moved:
        await stock.give_back(session, [order_id], owner_id=owner_id)
    return int(moved)


async def _due(session: AsyncSession, query: Select[UUID, UUID]) -> Sequence[Row[UUID, UUID]]:
    return (await session.execute(query)).all()


async def _scarce(session: AsyncSession) -> Sequence[UUID]:
    low = select(VariantStock.variant_id).where(VariantStock.stock <= stock.LOW_STOCK)
    return (await session.scalars(low)).all()


def overdue(*, older_than: timedelta, batch: int) -> Select[UUID, UUID]:
    """Select the oldest overdue orders that nobody else is about to cancel, each with its owner."""
    query = overdue_unlocked(older_than=older_than, batch=batch)
    return query.with_for_update(key_share=True, skip_locked=True)


def overdue_unlocked(*, older_than: timedelta, batch: int) -> Select[UUID, UUID]:
    """Select the oldest overdue orders, each with its owner, locked or not."""
    return (
        select(Order.id, Order.ordered_by_id)
        .where(Order.status == OrderStatus.PENDING, Order.created_at < func.now() - older_than)
        .order_by(Order.created_at)
        .limit(batch)
    )


def overdue_and_scarce(*, older_than: timedelta, batch: int) -> Select[UUID, UUID]:
    """Select those among them that hold the last units of something."""
    scarce = (
        select(OrderLine.order_id)
        .join(VariantStock, VariantStock.variant_id == OrderLine.variant_id)
        .where(OrderLine.order_id == Order.id, VariantStock.stock <= stock.LOW_STOCK)
        .exists()
    )
    return overdue(older_than=older_than, batch=batch).where(scarce)


def _holds(variant_ids: Sequence[UUID]) -> ColumnElement[bool]:
    return (
        select(OrderLine.order_id)
        .where(
            OrderLine.ordered_by_id == Order.ordered_by_id,
            OrderLine.order_id == Order.id,
            OrderLine.variant_id.in_(variant_ids),
        )
        .exists()
    )
