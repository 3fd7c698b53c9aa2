"""Who sees which orders, in which order, and who may move them."""

from uuid import UUID

import httpx
import pytest
from shoppers import ADMIN, CUSTOMER, OTHER_CUSTOMER, OTHER_VENDOR, VENDOR, Shopper, log_in, refusal
from sqlalchemy import Engine, func, select, update
from sqlalchemy.orm import Session

from marketplace.demo_data import demo_id
from marketplace.entities import Order, OrderEvent, OrderStatus, PaymentStatus, VariantStock

LAMP, MUG = demo_id("Alder Lamp, desk"), demo_id("Copper Mug, one")


@pytest.fixture(autouse=True)
def stocked(shop: Engine) -> None:
    with Session(shop) as session:
        session.execute(
            update(VariantStock).where(VariantStock.variant_id.in_([LAMP, MUG])).values(stock=100)
        )
        session.commit()


def listed(shopper: Shopper, path: str) -> list[dict[str, object]]:
    """Every page of a list, two at a time."""
    items: list[dict[str, object]] = []
    separator = "&" if "?" in path else "?"
    page = shopper.get(f"{path}{separator}limit=2").json()
    items += page["items"]
    while page["next_cursor"]:
        page = shopper.get(f"{path}{separator}limit=2&cursor={page['next_cursor']}").json()
        assert page["items"]
        items += page["items"]
    return items


def test_ones_own_orders(api: httpx.Client) -> None:
    """The newest first, all or in one status; nobody else's, who has some too."""
    customer, other = log_in(api, CUSTOMER), log_in(api, OTHER_CUSTOMER)
    placed = [customer.buy((LAMP, 1)).json()["id"] for _ in range(3)]
    orders = listed(customer, "/orders")
    assert [order["id"] for order in orders][:3] == placed[::-1]
    assert [order["created_at"] for order in orders] == sorted(
        (order["created_at"] for order in orders), reverse=True
    )
    others = listed(other, "/orders")
    assert len(orders) + len(others) == 10
    delivered = listed(customer, "/orders?status=delivered")
    assert delivered == [order for order in orders if order["status"] == "delivered"] != []
    assert refusal(other.get(f"/orders/{placed[0]}")) == (404, "order_not_found")
    assert refusal(log_in(api, VENDOR).get(f"/orders/{placed[0]}")) == (404, "order_not_found")
    assert log_in(api, ADMIN).get(f"/orders/{placed[0]}").status_code == 200


def test_a_vendors_orders(api: httpx.Client) -> None:
    """Only the vendor's own lines, and what these come to; by the snapshot in the line."""
    order = log_in(api, CUSTOMER).buy((LAMP, 2), (MUG, 1)).json()
    lines = {line["vendor_name"]: line for line in order["lines"]}
    for email, name in ((VENDOR, "Alder & Ash"), (OTHER_VENDOR, "Copper Kettle")):
        seen = listed(log_in(api, email), "/vendor/orders")
        assert seen[0] == {
            "id": order["id"],
            "delivery_address": None,
            "status": "pending",
            "currency": "EUR",
            "created_at": order["created_at"],
            "total": lines[name]["total"],
            "lines": [lines[name]],
        }
        assert len({order["id"] for order in seen}) == len(seen) > 1
        assert {line["vendor_name"] for order in seen for line in order["lines"]} == {name}  # type: ignore[attr-defined]  # lines are a list


def test_all_orders(api: httpx.Client) -> None:
    """For administrators: the newest first, filtered by both states."""
    admin = log_in(api, ADMIN)
    newest = log_in(api, CUSTOMER).buy((LAMP, 1)).json()["id"]
    orders = listed(admin, "/admin/orders")
    assert (orders[0]["id"], len(orders)) == (newest, 8)
    paid = listed(admin, "/admin/orders?payment_status=paid")
    assert {order["payment_status"] for order in paid} == {"paid"}
    assert len(listed(admin, "/admin/orders?payment_status=paid&status=shipped")) == 1
    for email in (CUSTOMER, VENDOR):
        answer = log_in(api, email).get("/admin/orders")
        assert refusal(answer) == (403, "role_not_allowed")


def test_payments_to_ask_about(api: httpx.Client, shop: Engine) -> None:
    """Pending for more than 15 minutes, the oldest first."""
    admin, customer = log_in(api, ADMIN), log_in(api, CUSTOMER)
    young, old = (customer.buy((LAMP, 1)).json()["id"] for _ in range(2))
    with Session(shop) as session:
        a_while = func.make_interval(0, 0, 0, 0, 0, 16)
        session.execute(
            update(Order).where(Order.id == UUID(old)).values(created_at=func.now() - a_while)
        )
        session.commit()
    found = [order["id"] for order in listed(admin, "/admin/pending-payments")]
    assert found[-1] == old
    assert len(found) == 2  # and one of the demo's
    assert young not in found


def test_the_way_of_an_order(api: httpx.Client, shop: Engine) -> None:
    """An administrator moves it along what is legal; each step is on record with its reason."""
    admin = log_in(api, ADMIN)
    order_id = log_in(api, CUSTOMER).buy((LAMP, 1)).json()["id"]
    path = f"/orders/{order_id}/transitions"
    answer = admin.post(path, {"to": "shipped"})
    assert refusal(answer) == (409, "illegal_transition")
    assert answer.json()["current"] == "pending"
    with Session(shop) as session:
        session.execute(
            update(Order).where(Order.id == UUID(order_id)).values(payment_status="paid")
        )
        session.commit()
    for to in ("confirmed", "shipped", "delivered"):
        moved = admin.post(path, {"to": to, "reason": f"by hand: {to}"})
        assert (moved.status_code, moved.json()["status"]) == (200, to)
    assert refusal(admin.post(path, {"to": "cancelled"})) == (409, "illegal_transition")
    assert refusal(admin.post(path, {"to": "pending"})) == (409, "illegal_transition")
    assert [event["reason"] for event in moved.json()["events"]] == [
        "checkout",
        "by hand: confirmed",
        "by hand: shipped",
        "by hand: delivered",
    ]


def test_a_customer_cancels_what_is_pending(api: httpx.Client, shop: Engine) -> None:
    """And gets no further; the stock is back; of two at once one is made."""
    customer = log_in(api, CUSTOMER)
    order_id = customer.buy((LAMP, 5), (MUG, 1)).json()["id"]
    path = f"/orders/{order_id}/transitions"
    assert refusal(customer.post(path, {"to": "confirmed"})) == (409, "illegal_transition")
    assert customer.post(path, {"to": "cancelled"}).json()["status"] == "cancelled"
    assert refusal(customer.post(path, {"to": "cancelled"})) == (409, "illegal_transition")
    with Session(shop) as session:
        assert [session.get_one(VariantStock, variant).stock for variant in (LAMP, MUG)] == [
            100,
            100,
        ]
        events = session.scalars(select(OrderEvent).where(OrderEvent.order_id == UUID(order_id)))
        assert [event.to_state for event in events] == ["pending", "cancelled"]


def test_nobody_elses_order_is_moved(api: httpx.Client) -> None:
    """It is not even there."""
    order_id = log_in(api, CUSTOMER).buy((LAMP, 1)).json()["id"]
    for email in (OTHER_CUSTOMER, VENDOR):
        answer = log_in(api, email).post(f"/orders/{order_id}/transitions", {"to": "cancelled"})
        assert refusal(answer) == (404, "order_not_found")


def test_paid_orders_are_not_cancelled_by_customers(api: httpx.Client, shop: Engine) -> None:
    """An administrator cancels them; the stock is back, the money is the provider's matter."""
    customer = log_in(api, CUSTOMER)
    order_id = customer.buy((LAMP, 5)).json()["id"]
    with Session(shop) as session:
        order = session.scalars(select(Order).where(Order.id == UUID(order_id))).one()
        order.status, order.payment_status = OrderStatus.CONFIRMED, PaymentStatus.PAID
        session.commit()
    path = f"/orders/{order_id}/transitions"
    assert refusal(customer.post(path, {"to": "cancelled"})) == (409, "illegal_transition")
    answer = log_in(api, ADMIN).post(path, {"to": "cancelled"}).json()
    assert (answer["status"], answer["payment_status"]) == ("cancelled", "paid")
    with Session(shop) as session:
        assert session.get_one(VariantStock, LAMP).stock == 100
