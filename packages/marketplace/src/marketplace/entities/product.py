"""What a vendor offers; what is actually bought is one of its variants."""

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from holdfast import Versioned
from marketplace.entities.declarative import Amount, Currency, Entity, Key, Now

if TYPE_CHECKING:
    from marketplace.entities.subcategory import Subcategory
    from marketplace.entities.variant import Variant
    from marketplace.entities.vendor import Vendor


class Product(Versioned, Entity):
    """One product. `version` counts edits, also of its variants; `stock` sums these up: see `catalog/stock.py`."""

    __tablename__ = "products"

    id: Mapped[Key]
    vendor_id: Mapped[UUID] = mapped_column(ForeignKey("vendors.id", ondelete="RESTRICT"))
    subcategory_id: Mapped[UUID] = mapped_column(
        ForeignKey("subcategories.id", ondelete="RESTRICT")
    )
    # Compared byte by byte: one index then serves pages by name and searches by prefix alike, on
    # any server, and an upgrade of its locale library cannot make that index wrong.
    name: Mapped[str] = mapped_column(Text(collation="C"))
    description: Mapped[str] = mapped_column(server_default="")
    stock: Mapped[int] = mapped_column(server_default=text("0"))
    price: Mapped[Amount]
    currency: Mapped[Currency]
    created_at: Mapped[Now]
    archived_at: Mapped[datetime | None]

    vendor: Mapped["Vendor"] = relationship(lazy="raise_on_sql")
    subcategory: Mapped["Subcategory"] = relationship(lazy="raise_on_sql")
    variants: Mapped[list["Variant"]] = relationship(
        back_populates="product",
        cascade="all, delete-orphan",
        passive_deletes=True,  # ON DELETE CASCADE does it
        order_by="Variant.sku",
        lazy="raise_on_sql",
    )

    __table_args__ = (
        CheckConstraint("stock >= 0", name="stock_not_negative"),
        CheckConstraint("price >= 0", name="price_not_negative"),
        CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency_iso_4217"),
        Index(None, "name"),
        Index(None, "stock"),
        Index(None, "vendor_id", "subcategory_id"),
    )
