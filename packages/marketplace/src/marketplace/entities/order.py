"""What a customer ordered, and how far it is."""

import enum
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from marketplace.entities.declarative import Amount, Currency, Entity, Key, Now, one_of

if TYPE_CHECKING:
    from marketplace.entities.delivery_address import DeliveryAddress
    from marketplace.entities.order_event import OrderEvent
    from marketplace.entities.order_line import OrderLine
    from marketplace.entities.refund import Refund
    from marketplace.entities.user import User


class OrderStatus(enum.StrEnum):
    """How far the goods of an order are."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"


class PaymentStatus(enum.StrEnum):
    """How far the money of an order is."""

    PENDING = "pending"
    PAID = "paid"
    FAILED = "failed"
    PART_REFUNDED = "part_refunded"
    REFUNDED = "refunded"


# Orders whose money and goods do not fit, for somebody to look at: `orders/money.py` says why each is one.
UNSETTLED = """
    has_unmatched_money OR refunded > paid OR paid - refunded > total
    OR (status = 'cancelled' AND paid > refunded)
    OR (status = 'confirmed' AND paid > 0 AND refunded >= paid)
"""


# The rows of an order contain its owner, too, and are found by both: `docs/scale.md`.
OF_THIS_ORDER = (
    "and_(Order.id == foreign({0}.order_id), Order.ordered_by_id == foreign({0}.ordered_by_id))"
)


class Order(Entity):
    """One order of one customer, in one currency, from any number of vendors.

    `paid` and `refunded` add up what the payment provider told of it, in whatever order that came.
    """

    __tablename__ = "orders"

    id: Mapped[Key]
    ordered_by_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="RESTRICT"))
    status: Mapped[OrderStatus] = mapped_column(
        one_of(OrderStatus, name="status"), server_default=OrderStatus.PENDING.value
    )
    payment_status: Mapped[PaymentStatus] = mapped_column(
        one_of(PaymentStatus, name="payment_status"), server_default=PaymentStatus.PENDING.value
    )
    currency: Mapped[Currency]
    subtotal: Mapped[Amount]
    shipping: Mapped[Amount]
    total: Mapped[Amount]
    paid: Mapped[Amount] = mapped_column(server_default=text("0"))
    refunded: Mapped[Amount] = mapped_column(server_default=text("0"))
    has_unmatched_money: Mapped[bool] = mapped_column(server_default=text("false"))
    created_at: Mapped[Now]

    ordered_by: Mapped["User"] = relationship(lazy="raise_on_sql")
    lines: Mapped[list["OrderLine"]] = relationship(
        primaryjoin=OF_THIS_ORDER.format("OrderLine"),
        back_populates="order",
        cascade="all, delete-orphan",
        passive_deletes=True,  # ON DELETE CASCADE does it
        order_by="OrderLine.line_number",
        lazy="raise_on_sql",
    )

    events: Mapped[list["OrderEvent"]] = relationship(
        primaryjoin=OF_THIS_ORDER.format("OrderEvent"),
        order_by="OrderEvent.id",
        passive_deletes=True,
        lazy="raise_on_sql",
    )
    delivery_address: Mapped["DeliveryAddress | None"] = relationship(
        primaryjoin=OF_THIS_ORDER.format("DeliveryAddress"),
        passive_deletes=True,
        lazy="raise_on_sql",
    )
    refunds: Mapped[list["Refund"]] = relationship(
        order_by="Refund.id",
        passive_deletes="all",  # nothing: ON DELETE RESTRICT keeps an order with a refund
        lazy="raise_on_sql",
    )

    __table_args__ = (
        CheckConstraint("subtotal >= 0", name="subtotal_not_negative"),
        CheckConstraint("shipping >= 0", name="shipping_not_negative"),
        CheckConstraint("paid >= 0", name="paid_not_negative"),
        CheckConstraint("refunded >= 0", name="refunded_not_negative"),
        CheckConstraint("total = subtotal + shipping", name="total_adds_up"),
        CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency_iso_4217"),
        Index(None, "ordered_by_id", "status"),
        Index(None, "payment_status"),
        Index(None, "created_at"),
        # The few that may expire; every other order is older than that too.
        Index(
            "ix_orders_created_at_pending",
            "created_at",
            postgresql_where=text("status = 'pending'"),
        ),
        Index("ix_orders_created_at_unsettled", "created_at", postgresql_where=text(UNSETTLED)),
    )
    # The key of the table is `id`. A change names the owner, too, whose server it is sent to.
    __mapper_args__ = {"primary_key": ["ordered_by_id", "id"]}  # noqa: RUF012  # SQLAlchemy's own form
