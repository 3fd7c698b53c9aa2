"""One line of an order: what was bought, as it was on that day."""

from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from marketplace.entities.declarative import Amount, Entity

if TYPE_CHECKING:
    from marketplace.entities.order import Order


class OrderLine(Entity):
    """One line of an order. Names, sku, price and vendor are snapshots: later edits do not reach it.

    Its currency is the order's.
    """

    __tablename__ = "order_lines"

    order_id: Mapped[UUID] = mapped_column(
        ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True
    )
    ordered_by_id: Mapped[UUID]  # as the order has it
    line_number: Mapped[int] = mapped_column(primary_key=True)
    variant_id: Mapped[UUID | None] = mapped_column(ForeignKey("variants.id", ondelete="SET NULL"))
    vendor_id: Mapped[UUID] = mapped_column(ForeignKey("vendors.id", ondelete="RESTRICT"))
    vendor_name: Mapped[str]
    product_name: Mapped[str]
    variant_name: Mapped[str]
    sku: Mapped[str]
    unit_price: Mapped[Amount]
    quantity: Mapped[int]
    total: Mapped[Amount]

    order: Mapped["Order"] = relationship(
        primaryjoin="and_(Order.id == foreign(OrderLine.order_id),"
        " Order.ordered_by_id == foreign(OrderLine.ordered_by_id))",
        back_populates="lines",
        lazy="raise_on_sql",
    )

    __table_args__ = (
        CheckConstraint("line_number > 0", name="line_number_positive"),
        CheckConstraint("unit_price >= 0", name="unit_price_not_negative"),
        CheckConstraint("quantity > 0", name="quantity_positive"),
        CheckConstraint("total = unit_price * quantity", name="total_adds_up"),
        Index(None, "variant_id"),
        # A vendor's orders, newest first: the order's UUIDv7 is its age.
        Index(None, "vendor_id", "order_id"),
    )
