"""The tables of the shop, one per file. Importing this package completes `Entity.metadata`."""

from marketplace.entities.category import Category
from marketplace.entities.declarative import Entity
from marketplace.entities.order import Order, OrderStatus, PaymentStatus
from marketplace.entities.order_line import OrderLine
from marketplace.entities.product import Product
from marketplace.entities.session import EndReason, Session
from marketplace.entities.subcategory import Subcategory
from marketplace.entities.user import Role, User
from marketplace.entities.variant import Variant
from marketplace.entities.vendor import Vendor

__all__ = [
    "Category",
    "EndReason",
    "Entity",
    "Order",
    "OrderLine",
    "OrderStatus",
    "PaymentStatus",
    "Product",
    "Role",
    "Session",
    "Subcategory",
    "User",
    "Variant",
    "Vendor",
]
