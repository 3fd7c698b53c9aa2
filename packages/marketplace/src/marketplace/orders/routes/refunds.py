"""Refunds for administrators, over HTTP; what a customer sees of them is with the orders."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query

from marketplace.accounts.context import CurrentAccounts
from marketplace.accounts.principal import Administrator, FreshAdministrator
from marketplace.accounts.problems import (
    FreshAuthenticationNeeded,
    InvalidAccessToken,
    RoleNotAllowed,
    SecondFactorRequired,
)
from marketplace.cursors import Cursors, PageRequest, cursors_of
from marketplace.database import RequestTransactions
from marketplace.orders.problems import OrderNotFound, RefundTooLarge
from marketplace.orders.schemas import NewRefund, RefundRequested, RefundRequestPage
from marketplace.orders.service import refunds
from marketplace.problems import InvalidCursor, InvalidRequest, api_router, documented

router = api_router(prefix="/admin", tags=["orders"])
FOR_ADMINISTRATORS = (InvalidAccessToken, RoleNotAllowed, SecondFactorRequired, InvalidRequest)


@router.post(
    "/orders/{order_id}/refunds",
    status_code=201,
    responses=documented(
        *FOR_ADMINISTRATORS, FreshAuthenticationNeeded, OrderNotFound, RefundTooLarge
    ),
)
async def request_refund(
    transactions: RequestTransactions,
    accounts: CurrentAccounts,
    principal: FreshAdministrator,
    order_id: UUID,
    new: NewRefund,
) -> RefundRequested:
    """Request that money of an order goes back, all that is left or a part. It is done when the provider says so."""
    return await transactions.write(
        refunds.request, principal, order_id=order_id, new=new, outbox=accounts.outbox
    )


@router.get("/refunds", responses=documented(*FOR_ADMINISTRATORS, InvalidCursor))
async def list_open_refunds(
    transactions: RequestTransactions,
    _: Administrator,
    page: Annotated[PageRequest, Query()],
    cursors: Annotated[Cursors, Depends(cursors_of("refund requests"))],
) -> RefundRequestPage:
    """List refunds that were requested and not made yet, the oldest first."""
    return await transactions.read(refunds.list_open, page=page, cursors=cursors)
