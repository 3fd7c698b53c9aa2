"""How many units of a variant can be sold: apart from the variant, as each sale changes it and no edit does."""

from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, text
from sqlalchemy.orm import Mapped, mapped_column

from marketplace.entities.declarative import Entity


class VariantStock(Entity):
    """The stock of a variant. No index holds `stock`: a sale stays a HOT update. Only `catalog/stock.py` writes it."""

    __tablename__ = "variant_stock"

    variant_id: Mapped[UUID] = mapped_column(
        ForeignKey("variants.id", ondelete="CASCADE"), primary_key=True
    )
    stock: Mapped[int] = mapped_column(server_default=text("0"))

    __table_args__ = (
        CheckConstraint("stock >= 0", name="stock_not_negative"),
        {"postgresql_with": {"fillfactor": 80}},
    )
