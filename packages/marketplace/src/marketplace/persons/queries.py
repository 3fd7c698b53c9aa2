"""The statements on everything that belongs to a person."""

from typing import Any
from uuid import UUID

from sqlalchemy import Delete, Select, delete, select
from sqlalchemy.orm import joinedload, selectinload

from marketplace.entities import (
    AuditEvent,
    DeliveryAddress,
    EmailChange,
    EmailVerification,
    Entity,
    IdempotencyKey,
    Letter,
    Order,
    OrderStatus,
    RecoveryCode,
    SecondFactor,
    Session,
)

UNDER_WAY = (OrderStatus.CONFIRMED, OrderStatus.SHIPPED)
# Deleted with the account. Orders stay, without addresses; audit records hold ids, until their retention ends.
OWNED: tuple[type[Entity], ...] = (
    EmailChange,
    EmailVerification,
    IdempotencyKey,
    Letter,
    RecoveryCode,
    SecondFactor,
    Session,
)


def sessions_of(user_id: UUID) -> Select[Session]:
    """Select every session that is kept, the oldest first."""
    return select(Session).where(Session.user_id == user_id).order_by(Session.id)


def orders_of(user_id: UUID) -> Select[Order]:
    """Select every order with everything that is kept of it, the oldest first."""
    return (
        select(Order)
        .options(
            selectinload(Order.lines),
            selectinload(Order.events),
            selectinload(Order.refunds),
            joinedload(Order.delivery_address),
        )
        .where(Order.ordered_by_id == user_id)
        .order_by(Order.created_at, Order.id)
    )


def events_of(user_id: UUID) -> Select[AuditEvent]:
    """Select what is on record about the account, the oldest first."""
    return select(AuditEvent).where(AuditEvent.user_id == user_id).order_by(AuditEvent.id)


def orders_in(states: tuple[OrderStatus, ...], *, user_id: UUID) -> Select[UUID]:
    """Select and lock the orders of a user in these states."""
    return (
        select(Order.id)
        .where(Order.ordered_by_id == user_id, Order.status.in_(states))
        .order_by(Order.id)
        .with_for_update(key_share=True)
    )


def addresses_of(user_id: UUID) -> Delete:
    """Select the addresses of a user's orders."""
    ordered = select(Order.id).where(Order.ordered_by_id == user_id)
    return delete(DeliveryAddress).where(
        DeliveryAddress.ordered_by_id == user_id, DeliveryAddress.order_id.in_(ordered)
    )


def rows_of(owned: type[Any], user_id: UUID) -> Delete:
    """Select all rows of a table that belong to a user."""
    return delete(owned).where(owned.user_id == user_id)
