"""The SELECTs of orders. Each list is read from an index: `docs/indexes.md`."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, select, text, tuple_
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.orm import joinedload, selectinload, with_loader_criteria

from marketplace.cursors import PageRequest, Position
from marketplace.entities import (
    DeliveryAddress,
    Order,
    OrderLine,
    PaymentStatus,
    Refund,
    RefundRequest,
)
from marketplace.entities.order import UNSETTLED
from marketplace.orders.schemas import AllOrdersFilters, OrderFilters
from marketplace.placement import Placement

RECONCILED_AFTER = timedelta(minutes=15)


def my_orders(user_id: UUID, filters: OrderFilters, *, after: Position | None) -> Select[Order]:
    """Select a customer's orders, the newest first, and one row more."""
    query = _newest_first(filters, after=after).where(Order.ordered_by_id == user_id)
    return query if filters.status is None else query.where(Order.status == filters.status)


def all_orders(filters: AllOrdersFilters, *, after: Position | None) -> Select[Order]:
    """Select the shop's orders, the newest first, and one row more."""
    query = _newest_first(filters, after=after)
    if filters.status is not None:
        query = query.where(Order.status == filters.status)
    if filters.payment_status is not None:
        query = query.where(Order.payment_status == filters.payment_status)
    return query


def pending_payments(page: PageRequest, *, after: Position | None) -> Select[Order]:
    """Select orders of whose money nothing was heard for too long, the oldest first, and one row more."""
    # Left to itself the planner reads all orders from the oldest on until it has a page of pending
    # ones. These are among the newest, which it cannot know. So: first the pending ones, then sorted.
    pending = (
        select(Order.id, Order.created_at)
        .where(
            Order.payment_status == PaymentStatus.PENDING,
            Order.created_at < func.now() - RECONCILED_AFTER,
        )
        .cte("pending")
        .prefix_with("MATERIALIZED", dialect="postgresql")
    )
    query = (
        select(Order)
        .join(pending, pending.c.id == Order.id)
        .order_by(pending.c.created_at, pending.c.id)
        .limit(page.limit + 1)
    )
    if after is None:
        return query
    return query.where(tuple_(pending.c.created_at, pending.c.id) > (after.moment, after.key))


def unsettled(page: PageRequest, *, after: Position | None) -> Select[Order]:
    """Select orders whose money and goods do not fit, the oldest first, and one row more."""
    query = (
        select(Order)
        .where(text(UNSETTLED))
        .order_by(Order.created_at, Order.id)
        .limit(page.limit + 1)
    )
    if after is None:
        return query
    return query.where(tuple_(Order.created_at, Order.id) > (after.moment, after.key))


def vendor_order_ids(vendor_id: UUID, page: PageRequest, *, after: Position | None) -> Select[UUID]:
    """Select the orders with a line of this vendor, the newest first (their ids say when), and one more."""
    query = (
        select(OrderLine.order_id)
        .distinct()
        .where(OrderLine.vendor_id == vendor_id)
        .order_by(OrderLine.order_id.desc())
        .limit(page.limit + 1)
    )
    return query if after is None else query.where(OrderLine.order_id < after.key)


def with_lines_of(vendor_id: UUID, order_ids: list[UUID]) -> Select[Order]:
    """Select these orders, each with the lines of this vendor only."""
    return (
        select(Order)
        .options(
            selectinload(Order.lines),
            joinedload(Order.delivery_address),
            with_loader_criteria(OrderLine, OrderLine.vendor_id == vendor_id),
        )
        .where(Order.id.in_(order_ids))
        .order_by(Order.id.desc())
    )


def order_with_all(order_id: UUID, *, owner_id: UUID | None) -> Select[Order]:
    """Select one order with its lines and events; of anybody if no owner is named."""
    return _one(order_id, owner_id=owner_id).options(
        selectinload(Order.lines),
        selectinload(Order.events),
        joinedload(Order.delivery_address),
    )


def order_with_refunds(order_id: UUID, *, owner_id: UUID | None) -> Select[Order]:
    """Select one order with its refunds; of anybody if no owner is named."""
    return _one(order_id, owner_id=owner_id).options(selectinload(Order.refunds))


def put_address(
    order_id: UUID, *, owner_id: UUID, values: dict[str, Any], placement: Placement
) -> Insert:
    """Write where an order goes, replacing the address before; by the key that the table has."""
    put = insert(DeliveryAddress).values(order_id=order_id, ordered_by_id=owner_id, **values)
    key = [DeliveryAddress.order_id]
    if placement is Placement.BY_USER:
        key.insert(0, DeliveryAddress.ordered_by_id)
    return put.on_conflict_do_update(index_elements=key, set_=values)


def owner_of(order_id: UUID) -> Select[UUID]:
    """Select the owner of an order; where orders are divided by user, every server is asked."""
    return select(Order.ordered_by_id).where(Order.id == order_id)


def locked_order(order_id: UUID, *, owner_id: UUID | None) -> Select[Order]:
    """Select and lock one order: nobody else changes it until the commit."""
    return (
        _one(order_id, owner_id=owner_id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )


def _one(order_id: UUID, *, owner_id: UUID | None) -> Select[Order]:
    query = select(Order).where(Order.id == order_id)
    return query if owner_id is None else query.where(Order.ordered_by_id == owner_id)


def open_refund_requests(page: PageRequest, *, after: Position | None) -> Select[RefundRequest]:
    """Select requests that the provider has not reported yet, the oldest first, and one row more."""
    query = (
        select(RefundRequest)
        .where(RefundRequest.settled_at.is_(None))
        .order_by(RefundRequest.id)
        .limit(page.limit + 1)
    )
    return query if after is None else query.where(RefundRequest.id > after.key)


def requested_of(order_id: UUID) -> Select[Any]:
    """Sum what an administrator wants back of an order and the provider has not reported yet."""
    return select(func.coalesce(func.sum(RefundRequest.amount), 0)).where(
        RefundRequest.order_id == order_id, RefundRequest.settled_at.is_(None)
    )


def settles(refund: Refund) -> Select[RefundRequest]:
    """Select the oldest request that a refund fulfils; one row or none."""
    return (
        select(RefundRequest)
        .where(
            RefundRequest.order_id == refund.order_id,
            RefundRequest.amount == refund.amount,
            RefundRequest.settled_at.is_(None),
        )
        .order_by(RefundRequest.id)
        .limit(1)
    )


def _newest_first(page: PageRequest, *, after: Position | None) -> Select[Any]:
    query = select(Order).order_by(Order.created_at.desc(), Order.id.desc()).limit(page.limit + 1)
    if after is None:
        return query
    return query.where(tuple_(Order.created_at, Order.id) < (after.moment, after.key))
