"""What the payment provider tells us: signed, each event applied once, in any order.

`Payment-Signature: t=<seconds since 1970>,v1=<hex>`, where v1 is the HMAC-SHA256 of `t`, a dot and the
raw body. The time is signed too, so that a notice that was recorded cannot be sent again later.
"""

import hmac
import re
from datetime import timedelta

from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from marketplace.entities import (
    Order,
    OrderStatus,
    PaymentEvent,
    PaymentEventKind,
    PaymentStatus,
)
from marketplace.orders import transitions
from marketplace.orders.problems import InvalidSignature, OrderNotFound, WrongAmount
from marketplace.orders.schemas import PaymentNotice

TOLERANCE = timedelta(minutes=5)
SIGNATURE = re.compile(r"t=(\d{1,12}),v1=([0-9a-f]{64})")
LEADS_TO = {
    PaymentEventKind.SUCCEEDED: PaymentStatus.PAID,
    PaymentEventKind.FAILED: PaymentStatus.FAILED,
    PaymentEventKind.REFUNDED: PaymentStatus.REFUNDED,
}


def sign(body: bytes, *, at: int, secret: str) -> str:
    """The value of Payment-Signature for a body."""
    return f"t={at},v1={_digest(body, at=at, secret=secret)}"


def verify(header: str | None, body: bytes, *, now: float, secret: str) -> None:
    """Raises `InvalidSignature`; takes as long for one that is nearly right."""
    match = SIGNATURE.fullmatch(header or "")
    if match is None:
        raise InvalidSignature
    at = int(match[1])
    is_ours = hmac.compare_digest(_digest(body, at=at, secret=secret), match[2])
    if not is_ours or abs(now - at) > TOLERANCE.total_seconds():
        raise InvalidSignature


async def apply(session: AsyncSession, notice: PaymentNotice) -> str:
    """`applied`, `ignored` or `known`. Raises `OrderNotFound` or `WrongAmount`.

    A payment confirms the order, unless that was cancelled: then the money is there and no order,
    which the order's events show.
    """
    order = await session.get(
        Order, notice.order_id, with_for_update={"key_share": True}, populate_existing=True
    )
    if order is None:
        raise OrderNotFound(order_id=notice.order_id)
    if (notice.amount, notice.currency) != (order.total, order.currency):
        raise WrongAmount(expected=order.total, currency=order.currency)
    recorded = (
        insert(PaymentEvent)
        .values(**notice.model_dump(), is_applied=False)
        .on_conflict_do_nothing()
        .returning(PaymentEvent.id)
    )
    if await session.scalar(recorded) is None:
        return "known"
    reason = f"payment event {notice.id}"[:200]
    if not await transitions.try_to_move(
        session, order.id, to=LEADS_TO[notice.kind], reason=reason
    ):
        return "ignored"
    if notice.kind is PaymentEventKind.SUCCEEDED:
        await transitions.try_to_move(session, order.id, to=OrderStatus.CONFIRMED, reason=reason)
    applied = update(PaymentEvent).where(PaymentEvent.id == notice.id).values(is_applied=True)
    await session.execute(applied)
    return "applied"


def _digest(body: bytes, *, at: int, secret: str) -> str:
    return hmac.digest(secret.encode(), b"%d." % at + body, "sha256").hex()
