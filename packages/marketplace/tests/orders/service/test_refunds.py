"""Refunds that administrators want: never more than is there, and settled by what the provider tells."""

import json
import time

import httpx
import pytest
from letters import letters_of
from pydantic import SecretStr
from shoppers import ADMIN, CUSTOMER, OTHER_CUSTOMER, Shopper, log_in, refusal
from sqlalchemy import Engine

from marketplace.demo_data import demo_id
from marketplace.orders.service.payments import sign
from marketplace.settings import Settings

KEY = "a key of the payments of the tests, long"
LAMP = demo_id("Alder Lamp, desk")
ADDRESS = {
    "recipient": "Robin Reader",
    "street": "Lantern Lane 7",
    "addition": None,
    "postal_code": "10115",
    "city": "Berlin",
    "country": "DE",
}


@pytest.fixture
def settings() -> dict[str, object]:
    return {"payment_webhook_key": SecretStr(KEY)}


def tell(api: httpx.Client, order: dict[str, object], kind: str, amount: object, event: str) -> str:
    """What the provider says, and what became of it."""
    notice = {"id": event, "kind": kind, "order_id": order["id"], "amount": amount}
    body = json.dumps(notice | {"currency": order["currency"]}).encode()
    signature = sign(body, at=int(time.time()), secret=KEY)
    answer = api.post("/payments/webhook", content=body, headers={"Payment-Signature": signature})
    assert answer.status_code == 200, answer.text
    outcome: str = answer.json()["outcome"]
    return outcome


def wanted(admin: Shopper, order: dict[str, object], amount: int | None = None) -> httpx.Response:
    form = {"reason": "broken"} | ({} if amount is None else {"amount": amount})
    return admin.post(f"/admin/orders/{order['id']}/refunds", form)


def test_from_the_wish_to_the_document(api: httpx.Client, shop: Engine) -> None:
    """A part, then the rest; each is open until the provider tells of it, and the customer is told at once."""
    customer, admin = log_in(api, CUSTOMER), log_in(api, ADMIN)
    order = customer.buy((LAMP, 2)).json()
    assert refusal(wanted(admin, order)) == (409, "refund_too_large")  # nothing is paid
    assert tell(api, order, "succeeded", order["total"], "paid") == "applied"
    part = wanted(admin, order, 1000).json()
    rest = wanted(admin, order).json()
    assert (part["amount"], rest["amount"]) == (1000, order["total"] - 1000)
    too_much = wanted(admin, order, 1)
    assert refusal(too_much) == (409, "refund_too_large")
    assert too_much.json()["most"] == 0
    listed = admin.get("/admin/refunds").json()["items"]
    assert [each["id"] for each in listed] == [part["id"], rest["id"]]
    assert tell(api, order, "refunded", 1000, "first") == "applied"
    assert [each["id"] for each in admin.get("/admin/refunds").json()["items"]] == [rest["id"]]
    assert tell(api, order, "refunded", rest["amount"], "second") == "applied"
    assert admin.get("/admin/refunds").json()["items"] == []
    refunds = customer.get(f"/orders/{order['id']}/refunds").json()
    assert (refunds["paid"], refunds["refunded"]) == (order["total"], order["total"])
    assert [to for to, kind in letters_of(shop) if kind == "refund"] == [CUSTOMER, CUSTOMER]


def test_who_may(api: httpx.Client) -> None:
    """Administrators, for an order that there is."""
    customer, admin = log_in(api, CUSTOMER), log_in(api, ADMIN)
    order = customer.buy((LAMP, 1)).json()
    assert refusal(wanted(customer, order)) == (403, "role_not_allowed")
    assert refusal(customer.get("/admin/refunds")) == (403, "role_not_allowed")
    nowhere = {"id": str(demo_id("nowhere"))}
    assert refusal(wanted(admin, nowhere)) == (404, "order_not_found")


def test_where_it_goes(api: httpx.Client) -> None:
    """Said with the order or later, by its owner, until it is shipped; vendors and administrators see it."""
    customer, admin = log_in(api, CUSTOMER), log_in(api, ADMIN)
    cart = {"lines": [{"variant_id": str(LAMP), "quantity": 1}], "delivery_address": ADDRESS}
    order = customer.post("/checkout", cart, Idempotency_Key="with an address").json()
    path = f"/orders/{order['id']}"
    assert customer.get(path).json()["delivery_address"] == ADDRESS
    moved = {**ADDRESS, "city": "Hamburg", "addition": "2nd floor"}
    put = f"{path}/delivery-address"
    assert customer.request("PUT", put, moved).json()["delivery_address"] == moved
    stranger = log_in(api, OTHER_CUSTOMER)
    assert refusal(stranger.request("PUT", put, ADDRESS)) == (404, "order_not_found")
    [seen] = [
        each
        for each in log_in(api, "vendor@example.com").get("/vendor/orders").json()["items"]
        if each["id"] == order["id"]
    ]
    assert seen["delivery_address"] == moved
    assert tell(api, order, "succeeded", order["total"], "goods") == "applied"
    assert admin.post(f"{path}/transitions", {"to": "shipped"}).status_code == 200
    assert refusal(customer.request("PUT", put, ADDRESS)) == (409, "on_its_way")
    for wrong in ({**ADDRESS, "country": "Germany"}, {**ADDRESS, "city": ""}, {"city": "x"}):
        assert refusal(customer.request("PUT", put, wrong)) == (422, "invalid_request")


def test_settings_have_two_keys_of_the_provider() -> None:
    """The next one is accepted before the provider signs with it, and the last one for a while after."""
    first, second = SecretStr(32 * "a"), SecretStr(32 * "b")
    settings = Settings(payment_webhook_key=first, payment_webhook_key_also=second)
    assert settings.keys_of_payments == (first, second)
