"""Decides where an order's money is and whether it fits the goods, from sums: the order of events does not matter.

What the provider tells is added up: what was `paid` and what was `refunded`. Sums do not depend on the order
in which the events came, nor on how often each was told, so neither does anything here.

| paid, refunded                         | payment status                             |
|----------------------------------------|--------------------------------------------|
| nothing paid                           | `failed` once an attempt failed, else `pending` |
| nothing refunded, or the rest pays it  | `paid`                                     |
| something is left of it                | `part_refunded`                            |
| nothing is left of it                  | `refunded`                                 |

Goods follow money: a payment confirms what is pending, and only what is paid, at least in part, is shipped.
"""

from dataclasses import dataclass
from enum import StrEnum

from marketplace.entities import Order, OrderStatus, PaymentEventKind, PaymentStatus

SHIPPED_WHEN = frozenset({PaymentStatus.PAID, PaymentStatus.PART_REFUNDED})


class Mismatch(StrEnum):
    """Why somebody has to look at the money of an order."""

    PAID_AND_CANCELLED = "paid_and_cancelled"
    PAID_TWICE = "paid_twice"
    REFUNDED_AND_NOT_CANCELLED = "refunded_and_not_cancelled"
    REFUNDED_MORE_THAN_PAID = "refunded_more_than_paid"
    WRONG_AMOUNT = "wrong_amount"


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """The sums known of one order's money, in minor units."""

    total: int
    paid: int
    refunded: int
    has_failed: bool  # an attempt to pay; of no matter once something is paid

    @classmethod
    def of(cls, order: Order) -> "Money":
        """Read what is known of an order."""
        return cls(
            total=order.total,
            paid=order.paid,
            refunded=order.refunded,
            has_failed=order.payment_status is PaymentStatus.FAILED,
        )

    def after(self, kind: PaymentEventKind, amount: int) -> "Money":
        """Give the sums after an event of the provider."""
        paid = amount if kind is PaymentEventKind.SUCCEEDED else 0
        refunded = amount if kind is PaymentEventKind.REFUNDED else 0
        return Money(
            total=self.total,
            paid=self.paid + paid,
            refunded=self.refunded + refunded,
            has_failed=self.has_failed or kind is PaymentEventKind.FAILED,
        )

    @property
    def status(self) -> PaymentStatus:
        """The payment's status, by the table above."""
        if self.paid == 0:
            return PaymentStatus.FAILED if self.has_failed else PaymentStatus.PENDING
        left = self.paid - self.refunded
        if self.refunded == 0 or left >= self.total:
            return PaymentStatus.PAID
        return PaymentStatus.PART_REFUNDED if left > 0 else PaymentStatus.REFUNDED


def fits(kind: PaymentEventKind, *, amount: int, currency: str, order: Order) -> bool:
    """Whether an event can be about this order: a payment of its whole total, or a refund of any part."""
    if currency != order.currency:
        return False
    if kind is PaymentEventKind.REFUNDED:
        return 0 < amount <= order.total
    return amount == order.total


def mismatches(order: Order) -> list[Mismatch]:
    """Say why this order is unsettled; the condition `UNSETTLED` of its table, in single reasons."""
    left = order.paid - order.refunded
    is_refunded = order.paid > 0 and left <= 0
    found = {
        Mismatch.PAID_AND_CANCELLED: order.status is OrderStatus.CANCELLED and left > 0,
        Mismatch.PAID_TWICE: left > order.total,
        Mismatch.REFUNDED_AND_NOT_CANCELLED: order.status is OrderStatus.CONFIRMED and is_refunded,
        Mismatch.REFUNDED_MORE_THAN_PAID: left < 0,
        Mismatch.WRONG_AMOUNT: order.has_unmatched_money,
    }
    return [mismatch for mismatch, is_so in found.items() if is_so]
