"""Checkout, and orders as their customers, vendors and administrators see them, over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Request, Response

from marketplace.accounts.principal import (
    Administrator,
    CurrentPrincipal,
    FreshAdministrator,
    VendorStaff,
    bearer,
    current_principal,
    record_read,
)
from marketplace.accounts.problems import (
    FreshAuthenticationNeeded,
    InvalidAccessToken,
    RoleNotAllowed,
    SecondFactorRequired,
)
from marketplace.cursors import Cursors, PageRequest, cursors_of
from marketplace.database import RequestTransactions, transactions_of
from marketplace.direct import Direct, route_of
from marketplace.entities import Role
from marketplace.orders.idempotency import Key, keyed
from marketplace.orders.problems import (
    IdempotencyKeyMissing,
    IdempotencyKeyReused,
    IllegalTransition,
    NotForSale,
    NotPaid,
    OnItsWay,
    OrderNotFound,
    OutOfStock,
    RequestInFlight,
    SeveralCurrencies,
    TooManyOpenOrders,
    TooManyUnits,
)
from marketplace.orders.schemas import (
    Address,
    AllOrdersFilters,
    Cart,
    OrderDetail,
    OrderFilters,
    OrderPage,
    PlacedOrder,
    RefundList,
    Transition,
    UnsettledPage,
    VendorOrderPage,
)
from marketplace.orders.service import checkout, orders
from marketplace.problems import (
    InvalidCursor,
    InvalidRequest,
    TooManyRequests,
    api_router,
    documented,
)

router = api_router(tags=["orders"])
FOR_SOME = (InvalidAccessToken, RoleNotAllowed, SecondFactorRequired)
LISTED = (InvalidCursor, InvalidRequest)
REPLAYED = {
    "headers": {
        "Idempotent-Replayed": {
            "description": "`true` where this is the answer of the first time.",
            "schema": {"type": "string", "const": "true"},
        }
    }
}


@router.post(
    "/checkout",
    status_code=checkout.CREATED,
    response_model=PlacedOrder,
    responses=documented(
        InvalidAccessToken,
        IdempotencyKeyMissing,
        IdempotencyKeyReused,
        RequestInFlight,
        OutOfStock,
        NotForSale,
        SeveralCurrencies,
        TooManyUnits,
        TooManyOpenOrders,
        TooManyRequests,
        InvalidRequest,
    )
    | {checkout.CREATED: REPLAYED},
)
async def check_out(
    request: Request,
    transactions: RequestTransactions,
    principal: CurrentPrincipal,
    cart: Cart,
    idempotency_key: Key = None,
) -> Response:
    """Order what is in the cart. Safe to repeat with the same Idempotency-Key: one order."""
    settings = request.app.state.settings
    await request.app.state.accounts.rates.count(
        settings.rate.checkout_per_account, "checkout", principal.user_id.hex
    )
    keyed_request = keyed(
        principal.user_id,
        key=idempotency_key,
        method=request.method,
        path=request.scope["path"],
        body=cart.model_dump_json(exclude_none=True),
    )
    answer = await transactions.write_on_driver(
        checkout.check_out,
        cart,
        request=keyed_request,
        limits=settings.order,
        placement=transactions.placement,
    )
    headers = {"Idempotent-Replayed": "true"} if answer.is_replay else {}
    return Response(answer.text, answer.status, headers, "application/json")


async def check_out_directly(request: Request, cart: Cart) -> Response:
    """Check out as `check_out` does, for a plain request."""
    principal = await current_principal(request, await bearer(request))
    key = request.headers.get("Idempotency-Key")
    return await check_out(request, await transactions_of(request), principal, cart, key)


@router.get("/orders", responses=documented(InvalidAccessToken, *LISTED))
async def list_my_orders(
    transactions: RequestTransactions,
    principal: CurrentPrincipal,
    filters: Annotated[OrderFilters, Query()],
    cursors: Annotated[Cursors, Depends(cursors_of("my orders"))],
) -> OrderPage:
    """List one's own orders, the newest first."""
    return await transactions.read_page(
        orders.list_mine, principal, filters=filters, cursors=cursors
    )


@router.get(
    "/orders/{order_id}", responses=documented(InvalidAccessToken, OrderNotFound, InvalidRequest)
)
async def get_order(
    transactions: RequestTransactions, principal: CurrentPrincipal, order_id: UUID
) -> OrderDetail:
    """Get an order with its lines and what happened to it."""
    detail = await transactions.read(orders.get, principal, order_id=order_id)
    if principal.role is Role.ADMIN:
        await transactions.write(record_read, principal, about=None, what=order_id.hex)
    return detail


@router.get(
    "/orders/{order_id}/refunds",
    responses=documented(InvalidAccessToken, OrderNotFound, InvalidRequest),
)
async def list_refunds(
    transactions: RequestTransactions, principal: CurrentPrincipal, order_id: UUID
) -> RefundList:
    """List the refunds of an order, whole or in parts, and what was paid of it."""
    refunds = await transactions.read(orders.list_refunds, principal, order_id=order_id)
    if principal.role is Role.ADMIN:
        await transactions.write(record_read, principal, about=None, what=order_id.hex)
    return refunds


@router.post(
    "/orders/{order_id}/transitions",
    responses=documented(
        InvalidAccessToken, OrderNotFound, IllegalTransition, NotPaid, InvalidRequest
    ),
)
async def move_order(
    transactions: RequestTransactions,
    principal: CurrentPrincipal,
    order_id: UUID,
    transition: Transition,
) -> OrderDetail:
    """Move an order on: customers cancel unpaid ones; administrators confirm, ship, deliver and cancel."""
    await transactions.write(orders.move, principal, order_id=order_id, transition=transition)
    return await transactions.read(orders.get, principal, order_id=order_id)


@router.put(
    "/orders/{order_id}/delivery-address",
    responses=documented(InvalidAccessToken, OrderNotFound, OnItsWay, InvalidRequest),
)
async def put_delivery_address(
    transactions: RequestTransactions,
    principal: CurrentPrincipal,
    order_id: UUID,
    address: Address,
) -> OrderDetail:
    """Say where the order goes, replacing the address before; possible until it is shipped."""
    await transactions.write(orders.put_address, principal, order_id=order_id, address=address)
    return await transactions.read(orders.get, principal, order_id=order_id)


@router.get("/vendor/orders", responses=documented(*FOR_SOME, *LISTED))
async def list_vendor_orders(
    transactions: RequestTransactions,
    principal: VendorStaff,
    page: Annotated[PageRequest, Query()],
    cursors: Annotated[Cursors, Depends(cursors_of("vendor orders"))],
) -> VendorOrderPage:
    """List the orders with lines of one's vendor, with these lines only, the newest first."""
    assert principal.vendor_id is not None  # noqa: S101  # a CHECK of the table
    return await transactions.read(
        orders.list_for_vendor, principal.vendor_id, page=page, cursors=cursors
    )


@router.get("/admin/orders", responses=documented(*FOR_SOME, *LISTED))
async def list_all_orders(
    transactions: RequestTransactions,
    _: Administrator,
    filters: Annotated[AllOrdersFilters, Query()],
    cursors: Annotated[Cursors, Depends(cursors_of("all orders"))],
) -> OrderPage:
    """List every order of the shop, the newest first."""
    return await transactions.read_page(orders.list_all, filters=filters, cursors=cursors)


@router.get(
    "/admin/pending-payments",
    responses=documented(*FOR_SOME, *LISTED),
)
async def list_pending_payments(
    transactions: RequestTransactions,
    _: Administrator,
    page: Annotated[PageRequest, Query()],
    cursors: Annotated[Cursors, Depends(cursors_of("pending payments"))],
) -> OrderPage:
    """List payments of which nothing was heard for 15 minutes, the oldest first, for reconciliation."""
    return await transactions.read(orders.list_pending_payments, page=page, cursors=cursors)


@router.get("/admin/unsettled-orders", responses=documented(*FOR_SOME, *LISTED))
async def list_unsettled_orders(
    transactions: RequestTransactions,
    _: Administrator,
    page: Annotated[PageRequest, Query()],
    cursors: Annotated[Cursors, Depends(cursors_of("unsettled orders"))],
) -> UnsettledPage:
    """List orders whose money and goods do not fit: paid and cancelled, paid twice, refunded; the oldest first."""
    return await transactions.read(orders.list_unsettled, page=page, cursors=cursors)


@router.delete(
    "/admin/unsettled-orders/{order_id}/unmatched-money",
    status_code=204,
    responses=documented(*FOR_SOME, FreshAuthenticationNeeded, OrderNotFound, InvalidRequest),
)
async def accept_unmatched_money(
    transactions: RequestTransactions, _: FreshAdministrator, order_id: UUID
) -> None:
    """Record that somebody has looked at money of a wrong amount or currency: it is no longer listed."""
    await transactions.write(orders.accept_unmatched_money, order_id)


DIRECT = [Direct(route=route_of(router, check_out), answer=check_out_directly, form=Cart)]
