"""Somebody who sells on the marketplace."""

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped

from marketplace.entities.declarative import Entity, Key, Now


class Vendor(Entity):
    """Its staff are the users whose `vendor_id` it is."""

    __tablename__ = "vendors"

    id: Mapped[Key]
    name: Mapped[str]
    created_at: Mapped[Now]

    __table_args__ = (UniqueConstraint("name"),)
