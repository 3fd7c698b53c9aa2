"""The payment provider's notices, over HTTP."""

import time
from typing import Annotated

from fastapi import Header, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from marketplace.database import RequestTransactions
from marketplace.orders.problems import (
    InvalidSignature,
    OrderNotFound,
    PaymentEventReused,
    WrongAmount,
)
from marketplace.orders.schemas import Acknowledgement, PaymentNotice
from marketplace.orders.service import payments
from marketplace.problems import InvalidRequest, api_router, documented

router = api_router(tags=["orders"])


@router.post(
    "/payments/webhook",
    responses=documented(
        InvalidSignature, OrderNotFound, WrongAmount, PaymentEventReused, InvalidRequest
    ),
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
    transactions: RequestTransactions,
    payment_signature: Annotated[str | None, Header(max_length=200)] = None,
) -> Acknowledgement:
    """Take a notice of the payment provider. The raw body is signed, so it is verified before it is read."""
    body = await request.body()
    secrets = [key.get_secret_value() for key in request.app.state.settings.keys_of_payments]
    payments.verify(payment_signature, body, now=time.time(), secrets=secrets)
    try:
        notice = PaymentNotice.model_validate_json(body)
    except ValidationError as error:
        faults = [{**fault, "loc": ("body", *fault["loc"])} for fault in error.errors()]
        raise RequestValidationError(faults) from error
    outcome = await transactions.write(payments.apply, notice)
    if outcome is payments.Outcome.WRONG_AMOUNT:  # it was recorded all the same
        raise WrongAmount
    return Acknowledgement(outcome=outcome)
