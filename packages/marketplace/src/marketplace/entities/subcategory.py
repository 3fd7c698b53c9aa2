"""The lower level of the catalogue's two: the one that products belong to."""

from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from holdfast.versioned import Versioned
from marketplace.entities.declarative import Entity, Key

if TYPE_CHECKING:
    from marketplace.entities.category import Category


class Subcategory(Versioned, Entity):
    """Its name is unique within its category; that key also serves the foreign key."""

    __tablename__ = "subcategories"

    id: Mapped[Key]
    category_id: Mapped[UUID] = mapped_column(ForeignKey("categories.id", ondelete="RESTRICT"))
    name: Mapped[str]

    category: Mapped["Category"] = relationship(back_populates="subcategories", lazy="raise_on_sql")

    __table_args__ = (UniqueConstraint("category_id", "name"),)
