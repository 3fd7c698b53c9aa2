"""Money that an administrator wants refunded: the provider has to do it, and settles it when it says so."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from marketplace.entities.declarative import Amount, Currency, Entity, Key, Now


class RefundRequest(Entity):
    """One request. `refund_id` is the refund it led to; the key is also the provider's Idempotency-Key."""

    __tablename__ = "refund_requests"

    id: Mapped[Key]
    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id", ondelete="RESTRICT"))
    amount: Mapped[Amount]
    currency: Mapped[Currency]
    reason: Mapped[str] = mapped_column(String(200))
    requested_by_id: Mapped[UUID | None]
    requested_at: Mapped[Now]
    settled_at: Mapped[datetime | None]
    refund_id: Mapped[UUID | None] = mapped_column(ForeignKey("refunds.id", ondelete="RESTRICT"))

    __table_args__ = (
        CheckConstraint("amount > 0", name="amount_positive"),
        CheckConstraint("(settled_at IS NULL) = (refund_id IS NULL)", name="settled_by_refund"),
        Index(None, "order_id"),
        Index(None, "refund_id", unique=True),
        Index("ix_refund_requests_id_open", "id", postgresql_where=text("settled_at IS NULL")),
    )
