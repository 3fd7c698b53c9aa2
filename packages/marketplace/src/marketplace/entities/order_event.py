"""One transition of an order, written in the transaction that made it."""

import enum
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from marketplace.entities.declarative import Entity, Key, Now, one_of


class Machine(enum.StrEnum):
    """Which of the two columns of an order changed."""

    STATUS = "status"
    PAYMENT_STATUS = "payment_status"


class OrderEvent(Entity):
    """One transition. `from_state` is NULL for the first one; no `actor_id` means the shop itself, or the provider."""

    __tablename__ = "order_events"

    id: Mapped[Key]
    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"))
    ordered_by_id: Mapped[UUID]  # as the order has it
    machine: Mapped[Machine] = mapped_column(one_of(Machine, name="machine"))
    from_state: Mapped[str | None] = mapped_column(String(16))
    to_state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(String(200))
    actor_id: Mapped[UUID | None]
    occurred_at: Mapped[Now]

    __table_args__ = (Index(None, "order_id"),)
