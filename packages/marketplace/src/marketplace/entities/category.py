"""A category, the upper of the catalogue's two levels."""

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped, relationship

from holdfast import Versioned
from marketplace.entities.declarative import Entity, Key
from marketplace.entities.subcategory import Subcategory


class Category(Versioned, Entity):
    """A category holds subcategories, never products themselves."""

    __tablename__ = "categories"

    id: Mapped[Key]
    name: Mapped[str]

    subcategories: Mapped[list[Subcategory]] = relationship(
        order_by=Subcategory.name,
        passive_deletes="all",  # nothing: ON DELETE RESTRICT keeps a category that holds some
        lazy="raise_on_sql",
    )

    __table_args__ = (UniqueConstraint("name"),)
