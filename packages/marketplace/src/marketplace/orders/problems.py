"""Problems with a request about orders."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from uuid import UUID

from marketplace.problems import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortLine:
    """A line that cannot be had: what was asked for, and what is available."""

    variant_id: UUID
    requested: int
    available: int


@dataclass(kw_only=True, eq=False)
class OutOfStock(Problem):
    """There is less than was ordered: `lines` says of what, and how much is `available`."""

    lines: list[ShortLine]
    status = HTTPStatus.CONFLICT
    code = "out_of_stock"
    detail = "Not everything is there in that quantity; nothing was ordered."

    @property
    def members(self) -> dict[str, Any]:
        """The lines that are short, for a program."""
        return {
            "lines": [
                {
                    "variant_id": str(line.variant_id),
                    "requested": line.requested,
                    "available": line.available,
                }
                for line in self.lines
            ]
        }


@dataclass(kw_only=True, eq=False)
class NotForSale(Problem):
    """The `variant_ids` are not, or no longer, in the catalogue."""

    variant_ids: list[UUID]
    status = HTTPStatus.CONFLICT
    code = "not_for_sale"
    detail = "Something is not, or no longer, for sale; nothing was ordered."

    @property
    def members(self) -> dict[str, Any]:
        """The variants that are not for sale, for a program."""
        return {"variant_ids": [str(variant_id) for variant_id in self.variant_ids]}


@dataclass(kw_only=True, eq=False)
class SeveralCurrencies(Problem):
    """One order has only one currency."""

    currencies: str
    status = HTTPStatus.CONFLICT
    code = "several_currencies"
    detail = "These lines are sold in {currencies}; order them apart."


@dataclass(kw_only=True, eq=False)
class TooManyUnits(Problem):
    """One order has at most that many units in all."""

    most: int
    status = HTTPStatus.CONFLICT
    code = "too_many_units"
    detail = "One order has at most {most} units."

    @property
    def members(self) -> dict[str, Any]:
        """How many it may have, for a program."""
        return {"most": self.most}


@dataclass(kw_only=True, eq=False)
class TooManyOpenOrders(Problem):
    """This customer has as many unpaid orders as are allowed, waiting or expired today."""

    status = HTTPStatus.CONFLICT
    code = "too_many_open_orders"
    detail = "Pay or cancel the orders that are open; then order again."


@dataclass(kw_only=True, eq=False)
class IdempotencyKeyMissing(Problem):
    """This request is never sent without an Idempotency-Key."""

    status = HTTPStatus.BAD_REQUEST
    code = "idempotency_key_missing"
    detail = (
        "Send an Idempotency-Key: 1 to 255 printable ASCII characters, new for each order, "
        "the same for each retry."
    )


@dataclass(kw_only=True, eq=False)
class RequestInFlight(Problem):
    """The first request with this Idempotency-Key has not been answered yet: try again."""

    status = HTTPStatus.CONFLICT
    code = "request_in_flight"
    detail = "The first request with this Idempotency-Key is being worked on."

    @property
    def headers(self) -> dict[str, str]:
        """The client may ask again in a second: an order takes milliseconds."""
        return {"Retry-After": "1"}


@dataclass(kw_only=True, eq=False)
class IdempotencyKeyReused(Problem):
    """This Idempotency-Key was used for another request."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "idempotency_key_reused"
    detail = "This Idempotency-Key was used for another request: take a new one."


@dataclass(kw_only=True, eq=False)
class OrderNotFound(Problem):
    """No order of yours has this id."""

    order_id: UUID
    status = HTTPStatus.NOT_FOUND
    code = "order_not_found"
    detail = "There is no order {order_id}."


@dataclass(kw_only=True, eq=False)
class IllegalTransition(Problem):
    """An order in this state cannot go there; `current` is where it is."""

    current: str
    to: str
    status = HTTPStatus.CONFLICT
    code = "illegal_transition"
    detail = "It is {current}, from where it does not become {to}."

    @property
    def members(self) -> dict[str, Any]:
        """The state that the order is in, for a program."""
        return {"current": self.current}


@dataclass(kw_only=True, eq=False)
class NotPaid(Problem):
    """Only an order that is paid, at least in part, is shipped; `payment_status` is where the money is."""

    payment_status: str
    status = HTTPStatus.CONFLICT
    code = "not_paid"
    detail = "Its payment is {payment_status}: it is shipped when it is paid."

    @property
    def members(self) -> dict[str, Any]:
        """Where the money is, for a program."""
        return {"payment_status": self.payment_status}


@dataclass(kw_only=True, eq=False)
class PaymentEventReused(Problem):
    """The id of this event came before, with other contents; nothing was changed."""

    event_id: str
    status = HTTPStatus.CONFLICT
    code = "payment_event_reused"
    detail = "The event {event_id} is known with other contents."


@dataclass(kw_only=True, eq=False)
class InvalidSignature(Problem):
    """The signature is missing, not ours, or too old."""

    status = HTTPStatus.BAD_REQUEST
    code = "invalid_signature"
    detail = "Payment-Signature is missing, does not fit the body, or is too old."


@dataclass(kw_only=True, eq=False)
class WrongAmount(Problem):
    """The payment does not match what the order costs. It is kept among the unsettled ones, for somebody to look at."""

    status = HTTPStatus.CONFLICT
    code = "wrong_amount"
    detail = (
        "The order is about another amount or currency; the event is kept for somebody to look at."
    )


@dataclass(kw_only=True, eq=False)
class RefundTooLarge(Problem):
    """It is more than is left of what was paid, minus refunds under way; `most` is the most that may go back."""

    most: int
    status = HTTPStatus.CONFLICT
    code = "refund_too_large"
    detail = "At most {most} can go back."

    @property
    def members(self) -> dict[str, Any]:
        """How much may go back, for a program."""
        return {"most": self.most}


@dataclass(kw_only=True, eq=False)
class OnItsWay(Problem):
    """The address of an order cannot be changed once it is shipped or cancelled; `current` is where it is."""

    current: str
    status = HTTPStatus.CONFLICT
    code = "on_its_way"
    detail = "It is {current}: its address stays as it is."

    @property
    def members(self) -> dict[str, Any]:
        """The state that the order is in, for a program."""
        return {"current": self.current}
