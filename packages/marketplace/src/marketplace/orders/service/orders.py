"""Decides who sees which orders, and who may move them."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from marketplace.accounts.principal import Principal
from marketplace.catalog import stock
from marketplace.cursors import Cursors, PageRequest, Position
from marketplace.database import placement_of
from marketplace.entities import Order, OrderStatus, Role
from marketplace.orders import queries, transitions
from marketplace.orders.finding import lock_order, owner_seen_by
from marketplace.orders.money import SHIPPED_WHEN
from marketplace.orders.problems import IllegalTransition, NotPaid, OnItsWay, OrderNotFound
from marketplace.orders.schemas import (
    Address,
    AllOrdersFilters,
    OrderDetail,
    OrderFilters,
    OrderPage,
    OrderSummary,
    RefundDetail,
    RefundList,
    Transition,
    UnsettledOrder,
    UnsettledPage,
    VendorOrder,
    VendorOrderPage,
)


async def list_mine(
    session: AsyncSession, principal: Principal, *, filters: OrderFilters, cursors: Cursors
) -> OrderPage:
    """Give one page of the user's own orders."""
    after = cursors.start(filters)
    query = queries.my_orders(principal.user_id, filters, after=after)
    return _page(list(await session.scalars(query)), filters, cursors=cursors)


async def list_all(
    session: AsyncSession, *, filters: AllOrdersFilters, cursors: Cursors
) -> OrderPage:
    """Give one page of the shop's orders."""
    query = queries.all_orders(filters, after=cursors.start(filters))
    return _page(list(await session.scalars(query)), filters, cursors=cursors)


async def list_pending_payments(
    session: AsyncSession, *, page: PageRequest, cursors: Cursors
) -> OrderPage:
    """Give one page of orders about which somebody has to ask the provider."""
    query = queries.pending_payments(page, after=cursors.start(page))
    return _page(list(await session.scalars(query)), page, cursors=cursors)


async def list_unsettled(
    session: AsyncSession, *, page: PageRequest, cursors: Cursors
) -> UnsettledPage:
    """Give one page of the orders whose money somebody has to settle."""
    query = queries.unsettled(page, after=cursors.start(page))
    orders, next_cursor = cursors.cut(
        list(await session.scalars(query)),
        limit=page.limit,
        position=lambda order: Position.at(order.created_at, order.id),
    )
    return UnsettledPage(
        items=[UnsettledOrder.of(order) for order in orders], next_cursor=next_cursor
    )


async def accept_unmatched_money(session: AsyncSession, order_id: UUID) -> None:
    """Record that somebody has looked at money of a wrong amount or currency: it is no longer listed.

    Raises `OrderNotFound`.
    """
    order = await lock_order(session, order_id, owner_id=None)
    order.has_unmatched_money = False


async def list_for_vendor(
    session: AsyncSession, vendor_id: UUID, *, page: PageRequest, cursors: Cursors
) -> VendorOrderPage:
    """Give one page of a vendor's orders, with its own lines only."""
    after = cursors.start(page)
    found = list(await session.scalars(queries.vendor_order_ids(vendor_id, page, after=after)))
    order_ids, next_cursor = cursors.cut(
        found, limit=page.limit, position=lambda order_id: Position(value="", key=order_id)
    )
    orders = await session.scalars(queries.with_lines_of(vendor_id, list(order_ids)))
    return VendorOrderPage(items=[_for_vendor(order) for order in orders], next_cursor=next_cursor)


async def get(session: AsyncSession, principal: Principal, *, order_id: UUID) -> OrderDetail:
    """Give an order of the user's own; any for an administrator. Raises `OrderNotFound`."""
    query = queries.order_with_all(order_id, owner_id=owner_seen_by(principal))
    order = await session.scalar(query)
    if order is None:
        raise OrderNotFound(order_id=order_id)
    return OrderDetail.model_validate(order)


async def list_refunds(
    session: AsyncSession, principal: Principal, *, order_id: UUID
) -> RefundList:
    """Give the refunds of an order that this user may see. Raises `OrderNotFound`."""
    query = queries.order_with_refunds(order_id, owner_id=owner_seen_by(principal))
    order = await session.scalar(query)
    if order is None:
        raise OrderNotFound(order_id=order_id)
    items = [RefundDetail.model_validate(refund) for refund in order.refunds]
    return RefundList(items=items, paid=order.paid, refunded=order.refunded)


async def move(
    session: AsyncSession, principal: Principal, *, order_id: UUID, transition: Transition
) -> None:
    """Move an order: customers may cancel unpaid ones; administrators may do whatever is legal.

    Raises `OrderNotFound`, `IllegalTransition` or `NotPaid`.
    """
    order = await lock_order(session, order_id, owner_id=owner_seen_by(principal))
    if principal.role is not Role.ADMIN and (
        order.status is not OrderStatus.PENDING or transition.to is not OrderStatus.CANCELLED
    ):
        raise IllegalTransition(current=order.status.value, to=transition.to.value)
    is_on_its_way = transition.to is OrderStatus.SHIPPED and order.status is OrderStatus.CONFIRMED
    if is_on_its_way and order.payment_status not in SHIPPED_WHEN:
        raise NotPaid(payment_status=order.payment_status.value)
    await transitions.move(
        session,
        order_id,
        owner_id=order.ordered_by_id,
        to=transition.to,
        reason=transition.reason,
        actor_id=principal.user_id,
    )
    if transition.to is OrderStatus.CANCELLED:
        await stock.give_back(session, [order_id], owner_id=order.ordered_by_id)


async def put_address(
    session: AsyncSession, principal: Principal, *, order_id: UUID, address: Address
) -> None:
    """Say where an order goes, until it is shipped. Raises `OrderNotFound`, `OnItsWay`."""
    order = await lock_order(session, order_id, owner_id=owner_seen_by(principal))
    if order.status not in {OrderStatus.PENDING, OrderStatus.CONFIRMED}:
        raise OnItsWay(current=order.status.value)
    put = queries.put_address(
        order_id,
        owner_id=order.ordered_by_id,
        values=address.model_dump(),
        placement=placement_of(session),
    )
    await session.execute(put)


def _page(orders: list[Order], page: PageRequest, *, cursors: Cursors) -> OrderPage:
    items, next_cursor = cursors.cut(
        orders,
        limit=page.limit,
        position=lambda order: Position.at(order.created_at, order.id),
    )
    return OrderPage(
        items=[OrderSummary.model_validate(order) for order in items], next_cursor=next_cursor
    )


def _for_vendor(order: Order) -> VendorOrder:
    return VendorOrder(
        id=order.id,
        status=order.status,
        currency=order.currency,
        created_at=order.created_at,
        total=sum(line.total for line in order.lines),
        lines=list(order.lines),
        delivery_address=order.delivery_address,
    )
