"""What is bought: one size, colour or kind of a product, with its own price and stock."""

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from holdfast import Versioned
from marketplace.entities.declarative import Amount, Currency, Entity, Key, Now

if TYPE_CHECKING:
    from marketplace.entities.product import Product


class Variant(Versioned, Entity):
    """A variant. Archived with its product, so this row alone says whether it is on sale; stock: `VariantStock`."""

    __tablename__ = "variants"

    id: Mapped[Key]
    product_id: Mapped[UUID] = mapped_column(ForeignKey("products.id", ondelete="CASCADE"))
    sku: Mapped[str]
    name: Mapped[str]
    price: Mapped[Amount]
    currency: Mapped[Currency]
    created_at: Mapped[Now]
    archived_at: Mapped[datetime | None]

    product: Mapped["Product"] = relationship(back_populates="variants", lazy="raise_on_sql")

    __table_args__ = (
        CheckConstraint("price >= 0", name="price_not_negative"),
        CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency_iso_4217"),
        # The sku of an archived variant is free again.
        Index(None, "sku", unique=True, postgresql_where=text("archived_at IS NULL")),
        Index(None, "product_id"),
    )
