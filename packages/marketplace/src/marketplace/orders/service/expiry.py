"""Orders that nobody paid for: cancelled, and their stock is for sale again.

The payment status stays as it is: what became of the money only the provider can say.
"""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from marketplace.catalog import stock
from marketplace.database import Transactions, driver_of
from marketplace.entities import Order, OrderStatus
from marketplace.orders import transitions

PATIENCE = timedelta(minutes=15)
BATCH = 50


async def expire_orders(
    transactions: Transactions,
    *,
    older_than: timedelta = PATIENCE,
    batch: int = BATCH,
) -> int:
    """How many were cancelled, a batch in a transaction. Several may run at once: none waits."""
    expired = 0
    while True:
        cancelled = await transactions.write(_expire_batch, older_than=older_than, batch=batch)
        expired += cancelled
        if cancelled == 0:
            return expired


async def _expire_batch(session: AsyncSession, *, older_than: timedelta, batch: int) -> int:
    order_ids = list(await session.scalars(overdue(older_than=older_than, batch=batch)))
    for order_id in order_ids:
        await transitions.move(session, order_id, to=OrderStatus.CANCELLED, reason="expired")
    await stock.give_back(await driver_of(session), order_ids)
    return len(order_ids)


def overdue(*, older_than: timedelta, batch: int) -> Select[UUID]:
    """The oldest of those that nobody else is about to cancel."""
    return (
        select(Order.id)
        .where(Order.status == OrderStatus.PENDING, Order.created_at < func.now() - older_than)
        .order_by(Order.created_at)
        .limit(batch)
        .with_for_update(key_share=True, skip_locked=True)
    )
