"""All that is kept of a person, and its end."""

import json

import httpx
import pytest
from devices import ADMIN, CUSTOMER, refusal
from devices import log_in as log_in_device
from letters import letters_of
from shoppers import OTHER_CUSTOMER, log_in
from sqlalchemy import Engine, func, select, text, update
from sqlalchemy.orm import Session as Transaction

from marketplace.demo_data import demo_id
from marketplace.entities import DeliveryAddress, Order, OrderStatus, Session, User, VariantStock
from marketplace.persons.queries import OWNED

ADDRESS = {
    "recipient": "Robin Reader",
    "street": "Lantern Lane 7",
    "postal_code": "10115",
    "city": "Berlin",
    "country": "DE",
}
LAMP = demo_id("Alder Lamp, desk")


def stock(engine: Engine) -> int:
    with Transaction(engine) as transaction:
        return transaction.get_one(VariantStock, LAMP).stock


def everything_arrives(engine: Engine) -> None:
    with engine.begin() as connection:
        ended = [OrderStatus.DELIVERED, OrderStatus.CANCELLED]
        under_way = update(Order).where(Order.status.not_in(ended))
        connection.execute(under_way.values(status=OrderStatus.DELIVERED))


def test_the_export_has_all_of_it(api: httpx.Client) -> None:
    """Account, devices, orders with where they went, what is on record; no secret, and nothing of others."""
    me = log_in(api, CUSTOMER)
    cart = {"lines": [{"variant_id": str(LAMP), "quantity": 1}], "delivery_address": ADDRESS}
    placed = me.post("/checkout", cart, Idempotency_Key="export")
    assert placed.status_code == 201, placed.text
    export = me.get("/auth/me/export").json()
    assert export["account"]["email"] == CUSTOMER
    mine = {order["id"]: order for order in export["orders"]}
    assert set(mine) == {order["id"] for order in me.get("/orders?limit=100").json()["items"]}
    assert mine[placed.json()["id"]]["delivery_address"] == {**ADDRESS, "addition": None}
    assert {session["is_current"] for session in export["sessions"]} == {True, False} or len(
        export["sessions"]
    ) == 1
    assert export["events"][-1]["action"] == "user.exported"
    said = json.dumps(export)
    assert "hash" not in said
    assert OTHER_CUSTOMER not in said


def test_the_end_of_an_account(api: httpx.Client, shop: Engine) -> None:
    """Nothing that tells who it was is left in any table; orders and their sums are, and stock is given back."""
    everything_arrives(shop)
    before = stock(shop)
    me = log_in(api, CUSTOMER)
    user_id = me.get("/auth/me").json()["id"]
    cart = {"lines": [{"variant_id": str(LAMP), "quantity": 2}], "delivery_address": ADDRESS}
    assert me.post("/checkout", cart, Idempotency_Key="end").status_code == 201
    kept = orders_of(shop, user_id)
    assert me.delete("/auth/me").status_code == 204
    assert refusal(me.get("/auth/me")) == (401, "invalid_access_token")
    again = {"email": CUSTOMER, "password": "whatever it was"}
    assert refusal(api.post("/auth/login", json=again)) == (401, "invalid_credentials")
    assert orders_of(shop, user_id) == kept
    assert stock(shop) == before
    with Transaction(shop) as transaction:
        user = transaction.get_one(User, user_id)
        assert (user.phone_number, user.password_hash) == (None, None)
        assert user.deleted_at is not None
        for owned in OWNED:
            rows = select(func.count()).select_from(owned).where(text("user_id = :id"))
            assert transaction.scalar(rows, {"id": user_id}) == 0
        ordered = select(Order.id).where(Order.ordered_by_id == user.id)
        left = select(func.count()).where(DeliveryAddress.order_id.in_(ordered))
        assert transaction.scalar(left) == 0
    assert letters_of(shop) == [(CUSTOMER, "account_deleted")]
    # The address is free for somebody else, or for the same person once more.
    assert api.post("/auth/register", json={"email": CUSTOMER}).status_code == 202


def test_what_is_under_way_arrives_first(api: httpx.Client, shop: Engine) -> None:
    """Whoever waits for goods, or has none yet: paid or confirmed, an account stays until that is over."""
    with shop.begin() as connection:
        mine = select(User.id).where(User.email == CUSTOMER).scalar_subquery()
        connection.execute(
            update(Order).where(Order.ordered_by_id == mine).values(status=OrderStatus.CONFIRMED)
        )
    me = log_in(api, CUSTOMER)
    assert refusal(me.delete("/auth/me")) == (409, "orders_under_way")
    assert me.get("/auth/me").status_code == 200


@pytest.mark.parametrize("path", ["/auth/me/export", "/auth/me"])
def test_it_needs_a_fresh_password(api: httpx.Client, shop: Engine, path: str) -> None:
    """Whoever finds an open session can neither take all of it away, nor end it."""
    me = log_in(api, CUSTOMER)
    with shop.begin() as connection:
        hour = text("authenticated_at - interval '1 hour'")
        connection.execute(update(Session).values(authenticated_at=hour))
    method = "GET" if path.endswith("export") else "DELETE"
    assert refusal(me.request(method, path)) == (403, "fresh_authentication_needed")


def test_the_last_administrator_stays(api: httpx.Client) -> None:
    """Also by their own wish."""
    admin = log_in_device(api, ADMIN)
    assert refusal(admin.request("DELETE", "/auth/me")) == (409, "last_administrator")


def orders_of(engine: Engine, user_id: str) -> list[tuple[object, ...]]:
    """What the law keeps: which, and how much."""
    with Transaction(engine) as transaction:
        rows = transaction.execute(
            select(Order.id, Order.total, Order.paid, Order.created_at)
            .where(Order.ordered_by_id == user_id)
            .order_by(Order.id)
        )
        return [tuple(row) for row in rows]
