"""Orders that nobody paid for: cancelled, and their stock is for sale again.

The payment status stays as it is: what became of the money only the provider can say.
"""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from marketplace.catalog import stock
from marketplace.database import Transactions
from marketplace.entities import Order, OrderLine, OrderStatus, VariantStock
from marketplace.orders import transitions

BATCH = 50


async def expire_orders(
    transactions: Transactions,
    *,
    older_than: timedelta = timedelta(minutes=15),
    scarce_older_than: timedelta | None = None,
    batch: int = BATCH,
) -> int:
    """How many were cancelled, a batch in a transaction. Several may run at once: none waits.

    Orders of something that others find no more of (LOW_STOCK or less is left) wait `scarce_older_than` only.
    """
    queries = [overdue(older_than=older_than, batch=batch)]
    if scarce_older_than is not None:
        queries.append(overdue_and_scarce(older_than=scarce_older_than, batch=batch))
    expired = 0
    for query in queries:
        while cancelled := await transactions.write(_expire_batch, query):
            expired += cancelled
    return expired


async def _expire_batch(session: AsyncSession, query: Select[UUID]) -> int:
    order_ids = list(await session.scalars(query))
    for order_id in order_ids:
        await transitions.move(session, order_id, to=OrderStatus.CANCELLED, reason="expired")
    await stock.give_back(session, order_ids)
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


def overdue_and_scarce(*, older_than: timedelta, batch: int) -> Select[UUID]:
    """Those among them that hold the last of something."""
    scarce = (
        select(OrderLine.order_id)
        .join(VariantStock, VariantStock.variant_id == OrderLine.variant_id)
        .where(OrderLine.order_id == Order.id, VariantStock.stock <= stock.LOW_STOCK)
        .exists()
    )
    return overdue(older_than=older_than, batch=batch).where(scarce)
