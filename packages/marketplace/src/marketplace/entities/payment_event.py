"""What the payment provider told us: each event once, whether or not it could be applied yet."""

import enum
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from marketplace.entities.declarative import Amount, Currency, Entity, Now, one_of


class PaymentEventKind(enum.StrEnum):
    """What the provider says happened to the money."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REFUNDED = "refunded"


class PaymentEvent(Entity):
    """One event of the provider, under the provider's key.

    `is_applied` is false where it changed nothing: it says what is past, it does not fit the order, or it is a
    refund whose payment is yet to come, with which it is applied.
    """

    __tablename__ = "payment_events"

    id: Mapped[str] = mapped_column(String(255), primary_key=True)
    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id", ondelete="RESTRICT"))
    kind: Mapped[PaymentEventKind] = mapped_column(one_of(PaymentEventKind, name="kind"))
    amount: Mapped[Amount]
    currency: Mapped[Currency]
    is_applied: Mapped[bool]
    received_at: Mapped[Now]

    __table_args__ = (Index(None, "order_id"),)
