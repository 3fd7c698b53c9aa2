"""Why stock moved other than by an order."""

import enum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from marketplace.entities.declarative import Entity, Key, Now, one_of


class AdjustmentReason(enum.StrEnum):
    """What happened to the goods that were counted in or out."""

    RECEIVED = "received"
    RETURNED = "returned"
    DAMAGED = "damaged"
    LOST = "lost"
    COUNTED = "counted"


class StockAdjustment(Entity):
    """One movement. `stock_after` is what the variant had when this was committed."""

    __tablename__ = "stock_adjustments"

    id: Mapped[Key]
    variant_id: Mapped[UUID] = mapped_column(ForeignKey("variants.id", ondelete="CASCADE"))
    delta: Mapped[int]
    stock_after: Mapped[int]
    reason: Mapped[AdjustmentReason] = mapped_column(one_of(AdjustmentReason, name="reason"))
    note: Mapped[str]
    adjusted_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    created_at: Mapped[Now]

    __table_args__ = (
        CheckConstraint("delta <> 0", name="delta_not_zero"),
        Index(None, "variant_id", "id"),
        Index(None, "adjusted_by_id"),
    )
