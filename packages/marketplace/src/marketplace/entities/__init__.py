"""The tables of the shop, one per file. Importing this package completes `Entity.metadata`."""

from marketplace.entities.audit_event import AuditedAction, AuditEvent
from marketplace.entities.category import Category
from marketplace.entities.declarative import Entity
from marketplace.entities.delivery_address import DeliveryAddress
from marketplace.entities.email_change import EmailChange
from marketplace.entities.email_verification import EmailVerification
from marketplace.entities.idempotency_key import IdempotencyKey
from marketplace.entities.letter import Letter, LetterKind
from marketplace.entities.order import Order, OrderStatus, PaymentStatus
from marketplace.entities.order_event import Machine, OrderEvent
from marketplace.entities.order_line import OrderLine
from marketplace.entities.payment_event import PaymentEvent, PaymentEventKind
from marketplace.entities.product import Product
from marketplace.entities.rate_count import RateCount
from marketplace.entities.refund import Refund
from marketplace.entities.refund_request import RefundRequest
from marketplace.entities.second_factor import RecoveryCode, SecondFactor
from marketplace.entities.session import EndReason, Session
from marketplace.entities.stock_adjustment import AdjustmentReason, StockAdjustment
from marketplace.entities.subcategory import Subcategory
from marketplace.entities.user import Role, User
from marketplace.entities.variant import Variant
from marketplace.entities.variant_stock import VariantStock
from marketplace.entities.vendor import Vendor

__all__ = [
    "AdjustmentReason",
    "AuditEvent",
    "AuditedAction",
    "Category",
    "DeliveryAddress",
    "EmailChange",
    "EmailVerification",
    "EndReason",
    "Entity",
    "IdempotencyKey",
    "Letter",
    "LetterKind",
    "Machine",
    "Order",
    "OrderEvent",
    "OrderLine",
    "OrderStatus",
    "PaymentEvent",
    "PaymentEventKind",
    "PaymentStatus",
    "Product",
    "RateCount",
    "RecoveryCode",
    "Refund",
    "RefundRequest",
    "Role",
    "SecondFactor",
    "Session",
    "StockAdjustment",
    "Subcategory",
    "User",
    "Variant",
    "VariantStock",
    "Vendor",
]
