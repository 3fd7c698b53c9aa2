"""The tables of the shop, one per file. Importing this package completes `Entity.metadata`."""

from marketplace.entities.audit_event import AuditedAction, AuditEvent
from marketplace.entities.category import Category
from marketplace.entities.declarative import Entity
from marketplace.entities.email_verification import EmailVerification
from marketplace.entities.order import Order, OrderStatus, PaymentStatus
from marketplace.entities.order_line import OrderLine
from marketplace.entities.product import Product
from marketplace.entities.session import EndReason, Session
from marketplace.entities.subcategory import Subcategory
from marketplace.entities.user import Role, User
from marketplace.entities.variant import Variant
from marketplace.entities.vendor import Vendor

__all__ = [
    "AuditEvent",
    "AuditedAction",
    "Category",
    "EmailVerification",
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
