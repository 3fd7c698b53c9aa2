"""Where an order goes: as given with the order, and apart from it, so that it can be deleted earlier."""

from uuid import UUID

from sqlalchemy import CHAR, CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from marketplace.entities.declarative import Entity, Now


class DeliveryAddress(Entity):
    """The address of an order. `country` is an ISO 3166-1 code. Nobody checks whether the place exists."""

    __tablename__ = "delivery_addresses"

    order_id: Mapped[UUID] = mapped_column(
        ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True
    )
    ordered_by_id: Mapped[UUID]  # as the order has it
    recipient: Mapped[str]
    street: Mapped[str]
    addition: Mapped[str | None]
    postal_code: Mapped[str]
    city: Mapped[str]
    country: Mapped[str] = mapped_column(CHAR(2))
    created_at: Mapped[Now]

    __table_args__ = (CheckConstraint("country ~ '^[A-Z]{2}$'", name="country_iso_3166"),)
