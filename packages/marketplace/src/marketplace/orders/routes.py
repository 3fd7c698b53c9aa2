"""Orders over HTTP."""

import time
from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError

from holdfast import run_unit_async
from marketplace.accounts.principal import CurrentPrincipal, Principal, require_role
from marketplace.accounts.problems import InvalidAccessToken, RoleNotAllowed
from marketplace.cursors import Cursors, PageRequest, cursors_of
from marketplace.database import RequestEngine, RequestSession, Sessions
from marketplace.entities import Role
from marketplace.orders import checkout, payments, service
from marketplace.orders.idempotency import Key, keyed
from marketplace.orders.problems import (
    IdempotencyKeyMissing,
    IdempotencyKeyReused,
    IllegalTransition,
    InvalidSignature,
    NotForSale,
    OrderNotFound,
    OutOfStock,
    RequestInFlight,
    SeveralCurrencies,
    WrongAmount,
)
from marketplace.orders.schemas import (
    Acknowledgement,
    AllOrdersFilters,
    Cart,
    OrderDetail,
    OrderFilters,
    OrderPage,
    PaymentNotice,
    PlacedOrder,
    Transition,
    VendorOrderPage,
)
from marketplace.problems import InvalidCursor, InvalidRequest, documented

router = APIRouter(tags=["orders"])
Staff = Annotated[Principal, Depends(require_role(Role.VENDOR))]
admins_only = Depends(require_role(Role.ADMIN))
FOR_SOME = (InvalidAccessToken, RoleNotAllowed)
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
        InvalidRequest,
    )
    | {checkout.CREATED: REPLAYED},
)
async def check_out(
    request: Request,
    engine: RequestEngine,
    principal: CurrentPrincipal,
    cart: Cart,
    idempotency_key: Key = None,
) -> JSONResponse:
    """Order what is in the cart. Safe to repeat with the same Idempotency-Key: one order."""
    keyed_request = keyed(
        principal.user_id,
        key=idempotency_key,
        method=request.method,
        path=request.url.path,
        body=cart.model_dump_json(),
    )
    answer = await checkout.check_out(engine, cart, request=keyed_request)
    headers = {"Idempotent-Replayed": "true"} if answer.is_replay else {}
    return JSONResponse(answer.body, answer.status, headers)


@router.get("/orders", responses=documented(InvalidAccessToken, *LISTED))
async def list_my_orders(
    session: RequestSession,
    principal: CurrentPrincipal,
    filters: Annotated[OrderFilters, Query()],
    cursors: Annotated[Cursors, Depends(cursors_of("my orders"))],
) -> OrderPage:
    """One's own orders, the newest first."""
    return await service.list_mine(session, principal, filters=filters, cursors=cursors)


@router.get(
    "/orders/{order_id}", responses=documented(InvalidAccessToken, OrderNotFound, InvalidRequest)
)
async def get_order(
    session: RequestSession, principal: CurrentPrincipal, order_id: UUID
) -> OrderDetail:
    """An order with its lines and what happened to it."""
    return await service.get(session, principal, order_id=order_id)


@router.post(
    "/orders/{order_id}/transitions",
    responses=documented(InvalidAccessToken, OrderNotFound, IllegalTransition, InvalidRequest),
)
async def move_order(
    sessions: Sessions, principal: CurrentPrincipal, order_id: UUID, transition: Transition
) -> OrderDetail:
    """Customers cancel what is not paid yet; administrators confirm, ship, deliver and cancel."""
    work = partial(service.move, principal=principal, order_id=order_id, transition=transition)
    await run_unit_async(work, sessions=sessions)
    async with sessions() as session:
        return await service.get(session, principal, order_id=order_id)


@router.get("/vendor/orders", responses=documented(*FOR_SOME, *LISTED))
async def list_vendor_orders(
    session: RequestSession,
    principal: Staff,
    page: Annotated[PageRequest, Query()],
    cursors: Annotated[Cursors, Depends(cursors_of("vendor orders"))],
) -> VendorOrderPage:
    """The orders with lines of one's vendor: these lines only, the newest first."""
    assert principal.vendor_id is not None  # noqa: S101  # a CHECK of the table
    return await service.list_for_vendor(session, principal.vendor_id, page=page, cursors=cursors)


@router.get("/admin/orders", dependencies=[admins_only], responses=documented(*FOR_SOME, *LISTED))
async def list_all_orders(
    session: RequestSession,
    filters: Annotated[AllOrdersFilters, Query()],
    cursors: Annotated[Cursors, Depends(cursors_of("all orders"))],
) -> OrderPage:
    """Every order, the newest first."""
    return await service.list_all(session, filters=filters, cursors=cursors)


@router.get(
    "/admin/pending-payments",
    dependencies=[admins_only],
    responses=documented(*FOR_SOME, *LISTED),
)
async def list_pending_payments(
    session: RequestSession,
    page: Annotated[PageRequest, Query()],
    cursors: Annotated[Cursors, Depends(cursors_of("pending payments"))],
) -> OrderPage:
    """Reconciliation: payments of which nothing was heard for 15 minutes, the oldest first."""
    return await service.list_pending_payments(session, page=page, cursors=cursors)


@router.post(
    "/payments/webhook",
    responses=documented(InvalidSignature, OrderNotFound, WrongAmount, InvalidRequest),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/PaymentNotice"}}
            },
        }
    },
)
async def receive_payment_notice(
    request: Request,
    session: RequestSession,
    payment_signature: Annotated[str | None, Header(max_length=200)] = None,
) -> Acknowledgement:
    """For the payment provider. The signature is of the raw body, so that is verified before it is read."""
    body = await request.body()
    secret = request.app.state.settings.payment_webhook_key.get_secret_value()
    payments.verify(payment_signature, body, now=time.time(), secret=secret)
    try:
        notice = PaymentNotice.model_validate_json(body)
    except ValidationError as error:
        faults = [{**fault, "loc": ("body", *fault["loc"])} for fault in error.errors()]
        raise RequestValidationError(faults) from error
    async with session.begin():
        return Acknowledgement(outcome=await payments.apply(session, notice))
