"""The money of an order is where the events say, in whatever order and however often they come."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import pytest
from everywhere import everywhere
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shoppers import CUSTOMER
from sqlalchemy import Engine, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from marketplace.database import Transactions, open_engine
from marketplace.demo_data import demo_id
from marketplace.entities import Order, OrderStatus, PaymentEventKind, PaymentStatus, Refund
from marketplace.entities.order import UNSETTLED
from marketplace.orders.money import Money, mismatches
from marketplace.orders.schemas import PaymentNotice
from marketplace.orders.service import payments

TOTAL = 100
SUCCEEDED, FAILED, REFUNDED = PaymentEventKind


@pytest.mark.parametrize(
    ("paid", "refunded", "has_failed", "status"),
    [
        (0, 0, False, PaymentStatus.PENDING),
        (0, 0, True, PaymentStatus.FAILED),
        (0, 40, False, PaymentStatus.PENDING),
        (0, 100, True, PaymentStatus.FAILED),
        (100, 0, True, PaymentStatus.PAID),
        (100, 1, False, PaymentStatus.PART_REFUNDED),
        (100, 99, False, PaymentStatus.PART_REFUNDED),
        (100, 100, False, PaymentStatus.REFUNDED),
        (100, 140, False, PaymentStatus.REFUNDED),
        (200, 0, False, PaymentStatus.PAID),
        (200, 100, False, PaymentStatus.PAID),
        (200, 101, False, PaymentStatus.PART_REFUNDED),
        (200, 200, False, PaymentStatus.REFUNDED),
    ],
)
def test_the_table(paid: int, refunded: int, has_failed: bool, status: PaymentStatus) -> None:
    """Where the money is, by the sums alone."""
    money = Money(total=TOTAL, paid=paid, refunded=refunded, has_failed=has_failed)
    assert money.status is status


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Where an order is once all of it was told."""

    status: OrderStatus
    payment_status: PaymentStatus
    paid: int
    refunded: int
    refunds: list[int]


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just(SUCCEEDED), st.just(TOTAL)),
        st.tuples(st.just(FAILED), st.just(TOTAL)),
        st.tuples(st.just(REFUNDED), st.integers(1, TOTAL)),
    ),
    max_size=6,
)


def test_events_in_any_order_and_number(shop: Engine) -> None:
    """Whatever the events of an order: any order of them, each told any number of times, ends in the same place."""
    with asyncio.Runner() as runner:
        engine = open_engine(shop.url)
        transactions = Transactions.on(engine)

        @settings(
            max_examples=40 if everywhere() else 8,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
            database=None,
        )
        @given(st.data())
        def check(data: st.DataObject) -> None:
            events = data.draw(EVENTS)
            numbered = list(enumerate(events))
            twice = data.draw(st.lists(st.sampled_from(numbered), max_size=4)) if events else []
            shuffled = data.draw(st.permutations([*numbered, *twice]))
            in_order = runner.run(tell(transactions, numbered))
            assert runner.run(tell(transactions, shuffled)) == in_order
            assert (in_order.paid, in_order.refunded) == (
                sum(amount for kind, amount in events if kind is SUCCEEDED),
                sum(amount for kind, amount in events if kind is REFUNDED),
            )
            is_paid = in_order.paid > 0
            assert in_order.status is (OrderStatus.CONFIRMED if is_paid else OrderStatus.PENDING)
            assert sum(in_order.refunds) == (in_order.refunded if is_paid else 0)

        try:
            check()
        finally:
            runner.run(engine.dispose())


def test_the_list_and_its_reasons_agree(shop: Engine) -> None:
    """Whatever the sums and the status: an order is listed as unsettled exactly if there is a reason."""
    amounts = (0, 40, 100, 140, 200)
    with shop.begin() as connection:
        for status in OrderStatus:
            for paid in amounts:
                for refunded in amounts:
                    for wrong in (True, False):
                        connection.execute(
                            text("""
                                INSERT INTO orders (id, ordered_by_id, status, currency, subtotal, shipping,
                                                    total, paid, refunded, has_unmatched_money)
                                VALUES (:id, :user_id, :status, 'EUR', 100, 0, 100, :paid, :refunded, :wrong)
                            """),
                            {
                                "id": uuid7(),
                                "user_id": demo_id(CUSTOMER),
                                "status": status.value,
                                "paid": paid,
                                "refunded": refunded,
                                "wrong": wrong,
                            },
                        )
        rows = connection.execute(select(Order.__table__, text(f"({UNSETTLED}) AS is_listed")))
        for row in rows.mappings():
            known = {name: value for name, value in row.items() if name != "is_listed"}
            assert bool(mismatches(Order(**known))) == row["is_listed"], known


async def tell(
    transactions: Transactions, events: Sequence[tuple[int, tuple[PaymentEventKind, int]]]
) -> Told:
    """A new order, and where it is once these events have been told of it."""
    order_id = uuid7()
    await transactions.write(_add, order_id)
    for number, (kind, amount) in events:
        notice = PaymentNotice(
            id=f"{order_id}-{number}", kind=kind, order_id=order_id, amount=amount, currency="EUR"
        )
        await transactions.write(payments.apply, notice)
    return await transactions.read(_told, order_id)


async def _add(session: AsyncSession, order_id: UUID) -> None:
    session.add(
        Order(
            id=order_id,
            ordered_by_id=demo_id(CUSTOMER),
            currency="EUR",
            subtotal=TOTAL,
            shipping=0,
            total=TOTAL,
        )
    )


async def _told(session: AsyncSession, order_id: UUID) -> Told:
    order = (await session.scalars(select(Order).where(Order.id == order_id))).one()
    refunds = await session.scalars(
        select(Refund.amount).where(Refund.order_id == order_id).order_by(Refund.amount)
    )
    return Told(
        status=order.status,
        payment_status=order.payment_status,
        paid=order.paid,
        refunded=order.refunded,
        refunds=list(refunds),
    )
