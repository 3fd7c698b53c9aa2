"""What the payment provider tells us is believed when it is signed, and applied once."""

import json
import time
from dataclasses import dataclass
from uuid import UUID

import httpx
import pytest
from shoppers import ADMIN, CUSTOMER, OTHER_CUSTOMER, Shopper, log_in, refusal
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from marketplace.demo_data import demo_id
from marketplace.entities import PaymentEvent, VariantStock
from marketplace.orders.service.payments import sign

KEY = "a key of the payment provider, long enough"
LAMP = demo_id("Alder Lamp, desk")


@dataclass(slots=True, kw_only=True)
class Provider:
    """Tells of the payment of one order."""

    customer: Shopper
    order_id: str
    amount: int

    def tell(self, kind: str, *, id: str, **other: object) -> httpx.Response:  # noqa: A002  # the field
        notice = {"id": id, "kind": kind, "order_id": self.order_id, "amount": self.amount}
        return self.send(json.dumps(notice | {"currency": "EUR"} | other).encode())

    def send(self, body: bytes, *, signature: str | None = None) -> httpx.Response:
        signature = signature or sign(body, at=int(time.time()), secret=KEY)
        headers = {"Payment-Signature": signature}
        return self.customer.api.post("/payments/webhook", content=body, headers=headers)

    def states(self) -> tuple[str, str]:
        order = self.customer.get(f"/orders/{self.order_id}").json()
        return order["status"], order["payment_status"]

    def unsettled(self) -> list[list[str]]:
        """What is wrong with the money of this order, as administrators see it."""
        items = log_in(self.customer.api, ADMIN).get("/admin/unsettled-orders").json()["items"]
        return [order["mismatches"] for order in items if order["id"] == self.order_id]

    def ship(self) -> tuple[int, str]:
        """How far an administrator gets who ships it."""
        path = f"/orders/{self.order_id}/transitions"
        answer = log_in(self.customer.api, ADMIN).post(path, {"to": "shipped"})
        return answer.status_code, answer.json().get("code", "")

    def cancel(self) -> None:
        path = f"/orders/{self.order_id}/transitions"
        assert self.customer.post(path, {"to": "cancelled"}).status_code == 200


@pytest.fixture
def settings() -> dict[str, object]:
    return {"payment_webhook_key": KEY}


@pytest.fixture
def provider(api: httpx.Client, shop: Engine) -> Provider:
    with Session(shop) as session:
        session.get_one(VariantStock, LAMP).stock = 10
        session.commit()
    customer = log_in(api, CUSTOMER)
    order = customer.buy((LAMP, 1)).json()
    return Provider(customer=customer, order_id=order["id"], amount=order["total"])


def test_a_payment_confirms_the_order(provider: Provider, shop: Engine) -> None:
    """Once, however often it is told; both transitions are on record, with the event."""
    outcomes = [provider.tell("succeeded", id="evt_1").json()["outcome"] for _ in range(3)]
    assert outcomes == ["applied", "known", "known"]
    assert provider.states() == ("confirmed", "paid")
    events = provider.customer.get(f"/orders/{provider.order_id}").json()["events"]
    assert [(event["machine"], event["to_state"], event["reason"]) for event in events] == [
        ("status", "pending", "checkout"),
        ("payment_status", "paid", "payment event evt_1"),
        ("status", "confirmed", "payment event evt_1"),
    ]
    with Session(shop) as session:
        [recorded] = session.scalars(select(PaymentEvent))
    assert (recorded.id, recorded.order_id, recorded.is_applied) == (
        "evt_1",
        UUID(provider.order_id),
        True,
    )


def test_events_in_any_order(provider: Provider) -> None:
    """What is already past is recorded and changes nothing; a second try may succeed."""
    assert provider.tell("failed", id="evt_1").json()["outcome"] == "applied"
    assert provider.states() == ("pending", "failed")
    assert provider.tell("succeeded", id="evt_2").json()["outcome"] == "applied"
    assert provider.tell("failed", id="evt_3").json()["outcome"] == "ignored"
    assert provider.states() == ("confirmed", "paid")
    assert provider.tell("refunded", id="evt_4").json()["outcome"] == "applied"
    assert provider.states() == ("confirmed", "refunded")


def test_money_for_a_cancelled_order(provider: Provider) -> None:
    """It is there, the order is not: to be refunded."""
    provider.cancel()
    assert provider.tell("succeeded", id="evt_1").json()["outcome"] == "applied"
    assert provider.states() == ("cancelled", "paid")
    assert provider.unsettled() == [["paid_and_cancelled"]]
    assert provider.tell("refunded", id="evt_2").json()["outcome"] == "applied"
    assert (provider.states(), provider.unsettled()) == (("cancelled", "refunded"), [])


def test_what_is_refused(provider: Provider) -> None:
    """A signature of another body, key or time; another amount or currency; an unknown order."""
    body = b'{"id": "evt_1"}'
    now = int(time.time())
    for signature in (
        "nonsense",
        sign(b"another", at=now, secret=KEY),
        sign(body, at=now, secret="another key"),
        sign(body, at=now - 900, secret=KEY),
        sign(body, at=now + 900, secret=KEY),
        sign(body, at=now - 900, secret=KEY).replace(str(now - 900), str(now)),
    ):
        answer = provider.send(body, signature=signature)
        assert refusal(answer) == (400, "invalid_signature")
    assert refusal(provider.customer.api.post("/payments/webhook", content=body)) == (
        400,
        "invalid_signature",
    )
    answer = provider.send(body)
    assert refusal(answer) == (422, "invalid_request")
    assert {fault["where"] for fault in answer.json()["errors"]} == {
        "body.kind",
        "body.order_id",
        "body.amount",
        "body.currency",
    }
    answer = provider.tell("succeeded", id="evt_1", amount=1)
    assert refusal(answer) == (409, "wrong_amount")
    answer = provider.tell("succeeded", id="evt_1", amount=1)
    assert refusal(answer) == (409, "wrong_amount")
    answer = provider.tell("succeeded", id="evt_2", currency="CHF")
    assert refusal(answer) == (409, "wrong_amount")
    answer = provider.tell("succeeded", id="evt_1", order_id=str(LAMP))
    assert refusal(answer) == (404, "order_not_found")
    assert provider.states() == ("pending", "pending")
    assert provider.unsettled() == [["wrong_amount"]]


def test_a_refund_before_its_payment(provider: Provider) -> None:
    """Whatever part of it, and however often it is told: it is kept, and applied when the payment comes."""
    part = provider.amount // 3
    answers = [provider.tell("refunded", id="evt_1", amount=part) for _ in range(2)]
    assert [answer.json()["outcome"] for answer in answers] == ["kept", "known"]
    assert provider.states() == ("pending", "pending")
    assert provider.unsettled() == [["refunded_more_than_paid"]]
    assert provider.tell("succeeded", id="evt_2").json()["outcome"] == "applied"
    assert provider.states() == ("confirmed", "part_refunded")
    assert provider.tell("refunded", id="evt_1", amount=part).json()["outcome"] == "known"
    rest = provider.amount - part
    assert provider.tell("refunded", id="evt_3", amount=rest).json()["outcome"] == "applied"
    assert provider.states() == ("confirmed", "refunded")
    path = f"/orders/{provider.order_id}/refunds"
    told = provider.customer.get(path).json()
    assert [refund["amount"] for refund in told["items"]] == [part, rest]
    assert (told["paid"], told["refunded"]) == (provider.amount, provider.amount)
    other = log_in(provider.customer.api, OTHER_CUSTOMER)
    assert refusal(other.get(path)) == (404, "order_not_found")


def test_what_is_not_paid_is_not_shipped(provider: Provider) -> None:
    """Whether it was never paid, the payment failed, or all of it went back; a part of it is enough."""
    admin = log_in(provider.customer.api, ADMIN)
    admin.post(f"/orders/{provider.order_id}/transitions", {"to": "confirmed"})
    assert provider.ship() == (409, "not_paid")
    provider.tell("failed", id="evt_1")
    assert provider.ship() == (409, "not_paid")
    provider.tell("succeeded", id="evt_2")
    provider.tell("refunded", id="evt_3")
    assert provider.ship() == (409, "not_paid")
    assert provider.unsettled() == [["refunded_and_not_cancelled"]]
    provider.tell("succeeded", id="evt_4")
    provider.tell("refunded", id="evt_5", amount=1)
    assert provider.ship() == (200, "")


def test_an_order_that_is_paid_twice(provider: Provider) -> None:
    """Is listed until the second payment went back, in as many parts as it takes."""
    provider.tell("succeeded", id="evt_1")
    assert provider.unsettled() == []
    assert provider.tell("succeeded", id="evt_2").json()["outcome"] == "applied"
    assert (provider.states(), provider.unsettled()) == (("confirmed", "paid"), [["paid_twice"]])
    provider.tell("refunded", id="evt_3", amount=1)
    assert provider.unsettled() == [["paid_twice"]]
    provider.tell("refunded", id="evt_4", amount=provider.amount - 1)
    assert (provider.states(), provider.unsettled()) == (("confirmed", "paid"), [])


def test_an_event_id_with_other_contents(provider: Provider) -> None:
    """Whatever differs, order, kind, amount or currency: refused, and nothing is swallowed by it."""
    other_customer = log_in(provider.customer.api, OTHER_CUSTOMER)
    other_order = other_customer.buy((LAMP, 1)).json()
    other = Provider(
        customer=other_customer, order_id=other_order["id"], amount=other_order["total"]
    )
    provider.tell("failed", id="evt_1")
    for answer in (
        other.tell("failed", id="evt_1"),
        provider.tell("succeeded", id="evt_1"),
        provider.tell("failed", id="evt_1", amount=1),
        provider.tell("failed", id="evt_1", currency="CHF"),
    ):
        assert refusal(answer) == (409, "payment_event_reused")
    assert other.states() == ("pending", "pending")
    assert other.tell("succeeded", id="evt_2").json()["outcome"] == "applied"


def test_money_of_a_wrong_amount_is_kept(provider: Provider) -> None:
    """Whatever it is, it is told again until somebody has looked at it, and never counted."""
    for amount in (0, provider.amount + 1):
        for kind in ("succeeded", "refunded"):
            answer = provider.tell(kind, id=f"{kind} {amount}".replace(" ", "_"), amount=amount)
            assert refusal(answer) == (409, "wrong_amount")
    assert (provider.states(), provider.unsettled()) == (
        ("pending", "pending"),
        [["wrong_amount"]],
    )
    admin = log_in(provider.customer.api, ADMIN)
    path = f"/admin/unsettled-orders/{provider.order_id}/unmatched-money"
    assert admin.delete(path).status_code == 204
    assert provider.unsettled() == []
    provider.tell("succeeded", id="evt_1")
    assert provider.states() == ("confirmed", "paid")
