"""Applies the payment provider's notices: signed, each event once, in any order.

`Payment-Signature: t=<seconds since 1970>,v1=<hex>`, where v1 is the HMAC-SHA256 of `t`, a dot and the
raw body. The time is signed too, so that a notice that was recorded cannot be sent again later.
"""

import hmac
import re
from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from functools import partial

from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from marketplace.entities import (
    Order,
    OrderStatus,
    PaymentEvent,
    PaymentEventKind,
    PaymentStatus,
    Refund,
)
from marketplace.orders import money, transitions
from marketplace.orders.finding import lock_order
from marketplace.orders.money import Money
from marketplace.orders.problems import InvalidSignature, PaymentEventReused
from marketplace.orders.schemas import PaymentNotice
from marketplace.orders.service import refunds

TOLERANCE = timedelta(minutes=5)
SIGNATURE = re.compile(r"t=(\d{1,12}),v1=([0-9a-f]{64})")


def sign(body: bytes, *, at: int, secret: str) -> str:
    """Give the value of Payment-Signature for a body."""
    return f"t={at},v1={_digest(body, at=at, secret=secret)}"


def verify(header: str | None, body: bytes, *, now: float, secrets: Sequence[str]) -> None:
    """Raise `InvalidSignature` for what none of the secrets has signed; the time taken reveals nothing."""
    match = SIGNATURE.fullmatch(header or "")
    if match is None:
        raise InvalidSignature
    at = int(match[1])
    is_ours = any(
        hmac.compare_digest(_digest(body, at=at, secret=secret), match[2]) for secret in secrets
    )
    if not is_ours or abs(now - at) > TOLERANCE.total_seconds():
        raise InvalidSignature


class Outcome(StrEnum):
    """What became of a notice."""

    APPLIED = "applied"
    KEPT = "kept"  # a refund, until its payment comes
    IGNORED = "ignored"  # it says what is past
    KNOWN = "known"
    WRONG_AMOUNT = "wrong_amount"


async def apply(session: AsyncSession, notice: PaymentNotice) -> Outcome:
    """Apply an event once, whatever came before it; all events are kept, also those that change nothing.

    Raises `OrderNotFound`, or `PaymentEventReused` for an id that came with other contents. A payment confirms
    the order, unless that was cancelled: then it is among the unsettled ones.
    """
    order = await lock_order(session, notice.order_id, owner_id=None)
    fits = money.fits(notice.kind, amount=notice.amount, currency=notice.currency, order=order)
    if not await _record(session, notice):
        return Outcome.KNOWN if fits else Outcome.WRONG_AMOUNT
    if not fits:
        order.has_unmatched_money = True
        return Outcome.WRONG_AMOUNT
    before = Money.of(order)
    after = before.after(notice.kind, notice.amount)
    order.paid, order.refunded = after.paid, after.refunded
    await session.flush()
    await _follow(session, order, to=after.status, reason=f"payment event {notice.id}"[:200])
    return await _settle(session, notice, before=before, after=after)


async def _record(session: AsyncSession, notice: PaymentNotice) -> bool:
    """Record an event; False for a known one. Raises `PaymentEventReused`."""
    recorded = (
        insert(PaymentEvent)
        .values(**notice.model_dump(), is_applied=False)
        .on_conflict_do_nothing()
        .returning(PaymentEvent.id)
    )
    if await session.scalar(recorded) is not None:
        return True
    known = await session.get_one(PaymentEvent, notice.id)
    if PaymentNotice.model_validate(known, from_attributes=True) != notice:
        raise PaymentEventReused(event_id=notice.id)
    return False


async def _follow(session: AsyncSession, order: Order, *, to: PaymentStatus, reason: str) -> None:
    """Move payment and order to where the sums are: through paid, so that no refund comes before it."""
    move = partial(
        transitions.try_to_move, session, order.id, owner_id=order.ordered_by_id, reason=reason
    )
    is_first_payment = order.payment_status in {PaymentStatus.PENDING, PaymentStatus.FAILED}
    if is_first_payment and to not in {PaymentStatus.PENDING, PaymentStatus.FAILED}:
        await move(to=PaymentStatus.PAID)
        await move(to=OrderStatus.CONFIRMED)
    if to is not PaymentStatus.PAID or not is_first_payment:
        await move(to=to)


async def _settle(
    session: AsyncSession, notice: PaymentNotice, *, before: Money, after: Money
) -> Outcome:
    """Mark what took effect: this event, and with a first payment the refunds that came before it."""
    if notice.kind is PaymentEventKind.REFUNDED and after.paid == 0:
        return Outcome.KEPT
    if notice.kind is PaymentEventKind.FAILED and before.status is not PaymentStatus.PENDING:
        return Outcome.IGNORED
    took_effect = PaymentEvent.id == notice.id
    if before.paid == 0 and after.paid > 0:
        took_effect |= (
            (PaymentEvent.kind == PaymentEventKind.REFUNDED)
            & (PaymentEvent.currency == notice.currency)
            & PaymentEvent.amount.between(1, after.total)
        )
    marked = (
        update(PaymentEvent)
        .where(PaymentEvent.order_id == notice.order_id, ~PaymentEvent.is_applied, took_effect)
        .values(is_applied=True)
        .returning(PaymentEvent)
    )
    events = (await session.scalars(marked)).all()
    for event in events:
        if event.kind is PaymentEventKind.REFUNDED:
            await _document(session, event)
    return Outcome.APPLIED


async def _document(session: AsyncSession, event: PaymentEvent) -> None:
    refund = Refund(
        id=uuid7(),
        order_id=event.order_id,
        payment_event_id=event.id,
        amount=event.amount,
        currency=event.currency,
    )
    session.add(refund)
    await session.flush()
    await refunds.settle(session, refund)


def _digest(body: bytes, *, at: int, secret: str) -> str:
    return hmac.digest(secret.encode(), b"%d." % at + body, "sha256").hex()
