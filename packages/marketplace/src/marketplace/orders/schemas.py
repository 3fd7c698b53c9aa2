"""What orders take and give over HTTP. Money is in minor units of the order's currency."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from marketplace.catalog.schemas import Currency, Price
from marketplace.catalog.stock import Taken
from marketplace.cursors import PageRequest
from marketplace.entities import Machine, Order, OrderStatus, PaymentEventKind, PaymentStatus
from marketplace.orders.money import Mismatch, mismatches

Quantity = Annotated[int, Field(ge=1, le=1000)]
AddressLine = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]+$")]


class CartLine(BaseModel):
    """One line of a cart: so much of a variant."""

    model_config = ConfigDict(extra="forbid")

    variant_id: UUID
    quantity: Quantity


class Address(BaseModel):
    """Where an order goes. Nobody checks whether the place exists."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)

    recipient: AddressLine
    street: AddressLine
    addition: AddressLine | None = None
    postal_code: Annotated[
        str, StringConstraints(min_length=1, max_length=20, pattern=r"^[^\x00]+$")
    ]
    city: AddressLine
    country: Annotated[
        str,
        StringConstraints(pattern=r"^[A-Z]{2}$"),
        Field(description="ISO 3166-1", examples=["DE"]),
    ]


class Cart(BaseModel):
    """What is ordered at once, and where it goes. Lines of the same variant are added up."""

    model_config = ConfigDict(extra="forbid")

    lines: list[CartLine] = Field(min_length=1, max_length=50)
    delivery_address: Address | None = Field(
        default=None, description="Or later, until it is shipped: PUT /orders/{id}/delivery-address"
    )

    def quantities(self) -> dict[UUID, int]:
        """How much of each variant the cart holds."""
        summed: dict[UUID, int] = {}
        for line in self.lines:
            summed[line.variant_id] = summed.get(line.variant_id, 0) + line.quantity
        return summed


class _Answer(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class Line(_Answer):
    """What was bought, as it was on that day. No `variant_id`: it is no longer in the catalogue."""

    line_number: int
    variant_id: UUID | None
    vendor_id: UUID
    vendor_name: str
    product_name: str
    variant_name: str
    sku: str
    unit_price: Price
    quantity: int
    total: Price


class OrderSummary(_Answer):
    """An order, as a page of orders shows it."""

    id: UUID
    status: OrderStatus
    payment_status: PaymentStatus
    currency: Currency
    subtotal: Price
    shipping: Price
    total: Price
    created_at: datetime


class PlacedOrder(OrderSummary):
    """An order with its lines, as checkout answers it."""

    lines: list[Line]

    @classmethod
    def of(cls, taken: Sequence[Taken], *, id: UUID, shipping: int, created_at: datetime) -> Self:  # noqa: A002  # the column's name
        """The order of the lines that were taken; they are all in one currency."""
        lines = [
            Line(
                line_number=number,
                variant_id=line.variant_id,
                vendor_id=line.vendor_id,
                vendor_name=line.vendor_name,
                product_name=line.product_name,
                variant_name=line.variant_name,
                sku=line.sku,
                unit_price=line.unit_price,
                quantity=line.quantity,
                total=line.unit_price * line.quantity,
            )
            for number, line in enumerate(taken, start=1)
        ]
        subtotal = sum(line.total for line in lines)
        return cls(
            id=id,
            status=OrderStatus.PENDING,
            payment_status=PaymentStatus.PENDING,
            currency=taken[0].currency,
            subtotal=subtotal,
            shipping=shipping,
            total=subtotal + shipping,
            created_at=created_at,
            lines=lines,
        )


class Event(_Answer):
    """One transition of an order or of its payment."""

    machine: Machine
    from_state: str | None
    to_state: str
    reason: str
    occurred_at: datetime


class RefundDetail(_Answer):
    """Money that went back: all of an order, or a part."""

    id: UUID
    amount: Price
    currency: Currency
    refunded_at: datetime


class RefundList(_Answer):
    """What went back of an order, and the sums of what was paid and refunded."""

    items: list[RefundDetail]
    paid: Price
    refunded: Price


class OrderDetail(PlacedOrder):
    """An order with all that happened to it, and where it goes."""

    events: list[Event]
    delivery_address: Address | None


class NewRefund(BaseModel):
    """Money that shall go back; all that is left of what was paid, where no amount is said."""

    model_config = ConfigDict(extra="forbid")

    amount: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None
    reason: Reason


class RefundRequested(_Answer):
    """Money that an administrator wants to go back. `refund_id` is null until the provider has told of it."""

    id: UUID
    order_id: UUID
    amount: Price
    currency: Currency
    reason: str
    requested_at: datetime
    settled_at: datetime | None
    refund_id: UUID | None


class RefundRequestPage(_Answer):
    """What the provider shall still do, the oldest first; `next_cursor` is null on the last page."""

    items: list[RefundRequested]
    next_cursor: str | None


class UnsettledOrder(OrderSummary):
    """An order whose money and goods do not fit, with what was paid and refunded, and what is wrong."""

    paid: Price
    refunded: Price
    mismatches: list[Mismatch]

    @classmethod
    def of(cls, order: Order) -> Self:
        """An order as administrators see it who settle its money."""
        names = (*OrderSummary.model_fields, "paid", "refunded")
        known = {name: getattr(order, name) for name in names}
        return cls(**known, mismatches=mismatches(order))


class UnsettledPage(_Answer):
    """Orders to be settled, the oldest first; `next_cursor` is null on the last page."""

    items: list[UnsettledOrder]
    next_cursor: str | None


class OrderFilters(PageRequest):
    """Which of one's own orders a page shows."""

    status: OrderStatus | None = None


class AllOrdersFilters(OrderFilters):
    """Which orders of the shop a page shows."""

    payment_status: PaymentStatus | None = None


class OrderPage(_Answer):
    """Orders; `next_cursor` is null on the last page."""

    items: list[OrderSummary]
    next_cursor: str | None


class VendorOrder(_Answer):
    """An order as one of its vendors sees it: that vendor's lines, and what these come to."""

    id: UUID
    status: OrderStatus
    currency: Currency
    created_at: datetime
    total: Price
    lines: list[Line]
    delivery_address: Address | None


class VendorOrderPage(_Answer):
    """A vendor's orders, the newest first; `next_cursor` is null on the last page."""

    items: list[VendorOrder]
    next_cursor: str | None


class Transition(BaseModel):
    """Where an order is to go, and why."""

    model_config = ConfigDict(extra="forbid")

    to: OrderStatus
    reason: Reason = "requested"


class PaymentNotice(BaseModel):
    """What the payment provider tells us. `id` is the same for each attempt to tell it."""

    id: Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[!-~]+$")]
    kind: PaymentEventKind
    order_id: UUID
    amount: Annotated[int, Field(ge=0, le=2**63 - 1)]
    currency: Currency


class Acknowledgement(BaseModel):
    """What became of a notice: `applied`, `kept` (a refund, until its payment comes), `ignored` (it says what is
    past) or `known` (it came before).
    """

    outcome: str
