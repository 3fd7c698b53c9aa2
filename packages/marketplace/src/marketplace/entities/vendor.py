"""A vendor: somebody who sells on the marketplace."""

from datetime import datetime

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped

from holdfast import Versioned
from marketplace.entities.declarative import Entity, Key, Now


class Vendor(Versioned, Entity):
    """A vendor. Its staff are the users with its `vendor_id`. The name of an archived one is free again."""

    __tablename__ = "vendors"

    id: Mapped[Key]
    name: Mapped[str]
    created_at: Mapped[Now]
    archived_at: Mapped[datetime | None]

    __table_args__ = (
        Index(None, "name", unique=True, postgresql_where=text("archived_at IS NULL")),
    )
