"""Refunds that administrators request: recorded for the payment provider, and settled by its notices.

The money moves at the provider. It takes the open requests from `GET /admin/refunds`, with the id of each as its
Idempotency-Key, and tells of each by an event, as of any other refund.
"""

from uuid import UUID

from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from marketplace.accounts.principal import Principal
from marketplace.cursors import Cursors, PageRequest, Position
from marketplace.entities import LetterKind, Refund, RefundRequest, User
from marketplace.orders import queries
from marketplace.orders.finding import lock_order
from marketplace.orders.problems import RefundTooLarge
from marketplace.orders.schemas import NewRefund, RefundRequested, RefundRequestPage
from marketplace.outbox import Outbox


async def request(
    session: AsyncSession,
    principal: Principal,
    *,
    order_id: UUID,
    new: NewRefund,
    outbox: Outbox,
) -> RefundRequested:
    """Record a refund request, and a letter to the customer. Raises `OrderNotFound`, `RefundTooLarge`."""
    order = await lock_order(session, order_id, owner_id=None)
    requested = await session.scalar(queries.requested_of(order_id)) or 0
    most = max(0, order.paid - order.refunded - int(requested))
    amount = new.amount or most
    if not 0 < amount <= most:
        raise RefundTooLarge(most=most)
    wanted = RefundRequest(
        id=uuid7(),
        order_id=order_id,
        amount=amount,
        currency=order.currency,
        reason=new.reason,
        requested_by_id=principal.user_id,
    )
    session.add(wanted)
    await session.flush()
    await session.refresh(wanted)
    customer = await session.get_one(User, order.ordered_by_id)
    if customer.deleted_at is None:
        await outbox.put(
            session,
            LetterKind.REFUND,
            to=customer.email,
            user_id=customer.id,
            order=str(order_id),
            amount=f"{amount / 100:.2f}",
            currency=order.currency,
        )
    return RefundRequested.model_validate(wanted)


async def list_open(
    session: AsyncSession, *, page: PageRequest, cursors: Cursors
) -> RefundRequestPage:
    """Give one page of requests that the provider has not reported yet."""
    query = queries.open_refund_requests(page, after=cursors.start(page))
    requests, next_cursor = cursors.cut(
        list(await session.scalars(query)),
        limit=page.limit,
        position=lambda request: Position(value="", key=request.id),
    )
    items = [RefundRequested.model_validate(request) for request in requests]
    return RefundRequestPage(items=items, next_cursor=next_cursor)


async def settle(session: AsyncSession, refund: Refund) -> None:
    """Settle the oldest request of a refund's amount that the provider has reported, if there is one."""
    request = await session.scalar(queries.settles(refund))
    if request is not None:
        request.settled_at, request.refund_id = func.now(), refund.id
