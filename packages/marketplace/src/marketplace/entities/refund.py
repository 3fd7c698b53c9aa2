"""Money that went back to a customer, in a row of its own, whether all of an order's or a part."""

from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from marketplace.entities.declarative import Amount, Currency, Entity, Key, Now


class Refund(Entity):
    """One refund, for each refund event of the provider that was applied."""

    __tablename__ = "refunds"

    id: Mapped[Key]
    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id", ondelete="RESTRICT"))
    payment_event_id: Mapped[str] = mapped_column(
        String(255), ForeignKey("payment_events.id", ondelete="RESTRICT")
    )
    amount: Mapped[Amount]
    currency: Mapped[Currency]
    refunded_at: Mapped[Now]

    __table_args__ = (
        CheckConstraint("amount > 0", name="amount_positive"),
        UniqueConstraint("payment_event_id"),
        Index(None, "order_id"),
    )
