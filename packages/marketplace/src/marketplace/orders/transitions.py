"""The states of an order: which may follow which, and the one statement that enforces it."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, String, cast, insert, literal, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import QueryableAttribute
from uuid_utils.compat import uuid7

from marketplace.entities import Machine, Order, OrderEvent, OrderStatus, PaymentStatus
from marketplace.orders.problems import IllegalTransition, OrderNotFound

# To a state, from these. Nothing leads to pending: that is where checkout begins.
STATUS: Mapping[OrderStatus, tuple[OrderStatus, ...]] = MappingProxyType(
    {
        OrderStatus.PENDING: (),
        OrderStatus.CONFIRMED: (OrderStatus.PENDING,),
        OrderStatus.SHIPPED: (OrderStatus.CONFIRMED,),
        OrderStatus.DELIVERED: (OrderStatus.SHIPPED,),
        OrderStatus.CANCELLED: (OrderStatus.PENDING, OrderStatus.CONFIRMED),
    }
)
# Money may arrive after a failure, after a cancellation, and again after a refund.
PAYMENT_STATUS: Mapping[PaymentStatus, tuple[PaymentStatus, ...]] = MappingProxyType(
    {
        PaymentStatus.PENDING: (),
        PaymentStatus.PAID: (
            PaymentStatus.PENDING,
            PaymentStatus.FAILED,
            PaymentStatus.PART_REFUNDED,
            PaymentStatus.REFUNDED,
        ),
        PaymentStatus.FAILED: (PaymentStatus.PENDING,),
        PaymentStatus.PART_REFUNDED: (PaymentStatus.PAID, PaymentStatus.REFUNDED),
        PaymentStatus.REFUNDED: (PaymentStatus.PAID, PaymentStatus.PART_REFUNDED),
    }
)

EVENT = (
    "id",
    "order_id",
    "ordered_by_id",
    "machine",
    "from_state",
    "to_state",
    "reason",
    "actor_id",
)


async def move(
    session: AsyncSession,
    order_id: UUID,
    *,
    owner_id: UUID,
    to: OrderStatus | PaymentStatus,
    reason: str,
    actor_id: UUID | None = None,
) -> None:
    """Make one transition, with its event. Raises `OrderNotFound` or `IllegalTransition`."""
    if not await try_to_move(
        session, order_id, owner_id=owner_id, to=to, reason=reason, actor_id=actor_id
    ):
        _, column, _ = _way(to)
        current = await session.scalar(select(column).where(*_this(order_id, owner_id)))
        if current is None:
            raise OrderNotFound(order_id=order_id)
        raise IllegalTransition(current=current.value, to=to.value)


async def try_to_move(
    session: AsyncSession,
    order_id: UUID,
    *,
    owner_id: UUID,
    to: OrderStatus | PaymentStatus,
    reason: str,
    actor_id: UUID | None = None,
) -> bool:
    """Make one transition if it is legal; give False, having written nothing, if it is not."""
    machine, column, allowed = _way(to)
    before = (
        select(Order.id, Order.ordered_by_id, cast(column, String).label("state"))
        .where(*_this(order_id, owner_id))
        .with_for_update(key_share=True)
        .cte("before")
    )
    moved = (
        update(Order)
        .where(*_this(order_id, owner_id), Order.id == before.c.id, column.in_(allowed))
        .values({column.key: to})
        .returning(Order.id, Order.ordered_by_id, before.c.state)
        .cte("moved")
    )
    values = (
        moved.c.id,
        moved.c.ordered_by_id,
        literal(machine, OrderEvent.machine.type),
        moved.c.state,
    )
    event = select(literal(uuid7()), *values, literal(to.value), literal(reason), literal(actor_id))
    written = insert(OrderEvent).from_select(EVENT, event).returning(OrderEvent.id)
    return await session.scalar(written) is not None


def _this(order_id: UUID, owner_id: UUID) -> tuple[ColumnElement[bool], ...]:
    return Order.ordered_by_id == owner_id, Order.id == order_id


def _way(to: OrderStatus | PaymentStatus) -> tuple[Machine, QueryableAttribute[Any], Sequence[Any]]:
    """Give the column that a transition changes, and the states from which it is legal."""
    if isinstance(to, OrderStatus):
        return Machine.STATUS, Order.status, STATUS[to]
    return Machine.PAYMENT_STATUS, Order.payment_status, PAYMENT_STATUS[to]
