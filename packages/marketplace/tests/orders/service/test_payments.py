"""What the payment provider tells us is believed when it is signed, and applied once."""

import json
import time
from dataclasses import dataclass
from uuid import UUID

import httpx
import pytest
from shoppers import CUSTOMER, Shopper, log_in, refusal
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from marketplace.demo_data import demo_id
from marketplace.entities import PaymentEvent, Variant
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

    def cancel(self) -> None:
        path = f"/orders/{self.order_id}/transitions"
        assert self.customer.post(path, {"to": "cancelled"}).status_code == 200


@pytest.fixture
def settings() -> dict[str, object]:
    return {"payment_webhook_key": KEY}


@pytest.fixture
def provider(api: httpx.Client, shop: Engine) -> Provider:
    with Session(shop) as session:
        session.get_one(Variant, LAMP).stock = 10
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
    answer = provider.tell("succeeded", id="evt_1", currency="CHF")
    assert refusal(answer) == (409, "wrong_amount")
    answer = provider.tell("succeeded", id="evt_1", order_id=str(LAMP))
    assert refusal(answer) == (404, "order_not_found")
    assert provider.states() == ("pending", "pending")
