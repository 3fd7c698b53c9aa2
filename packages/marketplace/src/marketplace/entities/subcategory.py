"""A subcategory, the lower of the catalogue's two levels, to which products belong."""

from uuid import UUID

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from holdfast import Versioned
from marketplace.entities.declarative import Entity, Key


class Subcategory(Versioned, Entity):
    """A subcategory. Its name is unique within its category; that key also serves the foreign key."""

    __tablename__ = "subcategories"

    id: Mapped[Key]
    category_id: Mapped[UUID] = mapped_column(ForeignKey("categories.id", ondelete="RESTRICT"))
    name: Mapped[str]

    __table_args__ = (UniqueConstraint("category_id", "name"),)
