"""An order is placed once, whole, and never for more than there is."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import httpx
import pytest
from shoppers import CUSTOMER, OTHER_CUSTOMER, log_in, refusal
from sqlalchemy import Engine, func, select, text, update
from sqlalchemy.orm import Session

from marketplace.demo_data import demo_id
from marketplace.entities import (
    IdempotencyKey,
    Order,
    OrderEvent,
    Product,
    Variant,
    VariantStock,
)
from marketplace.settings import OrderSettings, RateSettings

LAMP, PEN, MUG = (
    demo_id(name) for name in ("Alder Lamp, desk", "Fjord Pen, fine", "Copper Mug, one")
)

LIMIT = 30  # seconds for anything that is waited for
WAITING = text(
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


def stock_of(shop: Engine, variant_id: UUID) -> int:
    with Session(shop) as session:
        return session.get_one(VariantStock, variant_id).stock


def set_stock(shop: Engine, stock: dict[UUID, int]) -> None:
    with Session(shop) as session:
        for variant_id, number in stock.items():
            chosen = VariantStock.variant_id == variant_id
            session.execute(update(VariantStock).where(chosen).values(stock=number))
        session.commit()


def orders(shop: Engine) -> int:
    with Session(shop) as session:
        return session.scalar(select(func.count()).select_from(Order)) or 0


def until_somebody_waits(shop: Engine) -> None:
    """For a lock, in this database."""
    end = time.monotonic() + LIMIT
    with shop.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while not connection.scalar(WAITING):
            assert time.monotonic() < end, "nobody waits for a lock"
            time.sleep(0.005)


@pytest.fixture(autouse=True)
def stocked(shop: Engine) -> None:
    set_stock(shop, {LAMP: 100, PEN: 100, MUG: 3})


def test_an_order_of_three_lines(api: httpx.Client, shop: Engine) -> None:
    """Lines with what the catalogue said, in the order of the variants; the stock is taken."""
    customer = log_in(api, CUSTOMER)
    answer = customer.buy((LAMP, 2), (PEN, 1), (MUG, 3))
    assert answer.status_code == 201, answer.text
    assert "Idempotent-Replayed" not in answer.headers
    order = answer.json()
    assert [UUID(line["variant_id"]) for line in order["lines"]] == sorted([LAMP, PEN, MUG])
    assert next(line for line in order["lines"] if line["variant_id"] == str(LAMP)) == {
        "line_number": 1 + sorted([LAMP, PEN, MUG]).index(LAMP),
        "variant_id": str(LAMP),
        "vendor_id": str(demo_id("Alder & Ash")),
        "vendor_name": "Alder & Ash",
        "product_name": "Alder Lamp",
        "variant_name": "desk",
        "sku": "ALDER-LAMP-DESK",
        "unit_price": 6400,
        "quantity": 2,
        "total": 12800,
    }
    assert (order["status"], order["payment_status"]) == ("pending", "pending")
    assert order["subtotal"] == sum(line["total"] for line in order["lines"])
    assert (order["shipping"], order["total"]) == (490, order["subtotal"] + 490)
    assert [stock_of(shop, variant) for variant in (LAMP, PEN, MUG)] == [98, 99, 0]

    detail = customer.get(f"/orders/{order['id']}").json()
    events = detail.pop("events")
    assert detail == order | {"delivery_address": None}
    assert [(event["machine"], event["from_state"], event["to_state"]) for event in events] == [
        ("status", None, "pending")
    ]


def test_lines_of_the_same_variant_are_one(api: httpx.Client, shop: Engine) -> None:
    """So that they are not each compared with the same stock."""
    customer = log_in(api, CUSTOMER)
    assert refusal(customer.buy((MUG, 2), (MUG, 2))) == (409, "out_of_stock")
    order = customer.buy((MUG, 1), (MUG, 2)).json()
    assert [line["quantity"] for line in order["lines"]] == [3]


def test_out_of_stock(api: httpx.Client, shop: Engine) -> None:
    """Each line that is short, with what there is; nothing is taken of the others."""
    answer = log_in(api, CUSTOMER).buy((LAMP, 1), (MUG, 4), (PEN, 101))
    assert refusal(answer) == (409, "out_of_stock")
    assert answer.json()["lines"] == [
        {"variant_id": str(variant), "requested": requested, "available": available}
        for variant, requested, available in sorted([(MUG, 4, 3), (PEN, 101, 100)])
    ]
    assert [stock_of(shop, variant) for variant in (LAMP, PEN, MUG)] == [100, 100, 3]
    assert orders(shop) == 7


def test_what_is_not_for_sale(api: httpx.Client, shop: Engine) -> None:
    """Neither what never was, nor what was archived."""
    with Session(shop) as session:
        session.get_one(Variant, PEN).archived_at = func.now()
        session.commit()
    nothing = demo_id("nothing")
    answer = log_in(api, CUSTOMER).buy((LAMP, 1), (PEN, 1), (nothing, 1))
    assert refusal(answer) == (409, "not_for_sale")
    assert answer.json()["variant_ids"] == sorted([str(PEN), str(nothing)])
    assert stock_of(shop, LAMP) == 100


def test_one_order_is_in_one_currency(api: httpx.Client, shop: Engine) -> None:
    """Nothing is converted."""
    with Session(shop) as session:
        session.get_one(Variant, PEN).currency = "CHF"
        session.commit()
    assert refusal(log_in(api, CUSTOMER).buy((LAMP, 1), (PEN, 1))) == (409, "several_currencies")
    assert stock_of(shop, LAMP) == 100


def test_a_retry_gets_the_same_answer(api: httpx.Client, shop: Engine) -> None:
    """Also when the order has gone on meanwhile; and there is one order."""
    customer = log_in(api, CUSTOMER)
    first = customer.buy((LAMP, 1), key="a key")
    customer.post(f"/orders/{first.json()['id']}/transitions", {"to": "cancelled"})
    second = customer.buy((LAMP, 1), key="a key")
    assert second.headers["Idempotent-Replayed"] == "true"
    assert (second.status_code, second.json()) == (201, first.json())
    assert orders(shop) == 8


def test_a_key_is_for_one_request_of_one_user(api: httpx.Client, shop: Engine) -> None:
    """Another cart is refused; another user has keys of their own."""
    assert log_in(api, CUSTOMER).buy((LAMP, 1), key="a key").status_code == 201
    answer = log_in(api, CUSTOMER).buy((LAMP, 2), key="a key")
    assert refusal(answer) == (422, "idempotency_key_reused")
    assert log_in(api, OTHER_CUSTOMER).buy((LAMP, 2), key="a key").status_code == 201


def test_a_request_that_failed_may_come_again(api: httpx.Client, shop: Engine) -> None:
    """It did nothing, so its key is still free."""
    customer = log_in(api, CUSTOMER)
    assert refusal(customer.buy((MUG, 4), key="a key")) == (409, "out_of_stock")
    set_stock(shop, {MUG: 4})
    answer = customer.buy((MUG, 4), key="a key")
    assert answer.status_code == 201
    assert "Idempotent-Replayed" not in answer.headers


def test_a_key_expires(api: httpx.Client, shop: Engine) -> None:
    """After a day it is as new, even where nobody has cleaned up."""
    customer = log_in(api, CUSTOMER)
    first = customer.buy((LAMP, 1), key="a key").json()
    with Session(shop) as session:
        session.execute(update(IdempotencyKey).values(expires_at=func.now()))
        session.commit()
    second = customer.buy((LAMP, 1), key="a key").json()
    assert second["id"] != first["id"]
    assert customer.buy((LAMP, 1), key="a key").json() == second


def test_a_request_in_flight(api: httpx.Client, shop: Engine) -> None:
    """The second is refused at once while the first still works; later it is a retry."""
    customer = log_in(api, CUSTOMER)
    user_id = customer.get("/auth/me").json()["id"]
    with Session(shop) as first:
        first.execute(
            text("SELECT pg_advisory_xact_lock(hashtextextended(:lock, 0))"),
            {"lock": f"{user_id} a key"},
        )
        answer = customer.buy((LAMP, 1), key="a key")
        assert refusal(answer) == (409, "request_in_flight")
        assert answer.headers["Retry-After"] == "1"
    assert customer.buy((LAMP, 1), key="a key").status_code == 201


def test_whoever_waits_for_another_order_of_the_customer_has_the_key(
    api: httpx.Client, shop: Engine
) -> None:
    """Two orders of one customer are placed one after the other; a duplicate of the second is refused at once."""
    customer = log_in(api, CUSTOMER)
    turn = text("SELECT pg_advisory_xact_lock(hashtextextended('orders of ' || :user, 0))")
    with Session(shop) as other, ThreadPoolExecutor(1) as threads:
        other.execute(turn, {"user": customer.get("/auth/me").json()["id"]})
        waiting = threads.submit(customer.buy, (LAMP, 1), key="a key")
        until_somebody_waits(shop)
        assert refusal(customer.buy((LAMP, 1), key="a key")) == (409, "request_in_flight")
        other.commit()
        assert waiting.result(LIMIT).status_code == 201
    assert orders(shop) == 8


@pytest.mark.parametrize("key", [None, "", "ü", "k" * 256])
def test_no_key_no_order(api: httpx.Client, key: str | None) -> None:
    """One of 1 to 255 printable ASCII characters has to come."""
    customer = log_in(api, CUSTOMER)
    cart = {"lines": [{"variant_id": str(LAMP), "quantity": 1}]}
    headers = {"Authorization": f"Bearer {customer.access_token}"}
    if key is not None:
        headers["Idempotency-Key"] = key
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    answer = api.post("/checkout", json=cart, headers=encoded)
    assert refusal(answer) == (400, "idempotency_key_missing")


def test_nobody_orders_without_logging_in(api: httpx.Client) -> None:
    """Before anything of the request is looked at."""
    assert refusal(api.post("/checkout", json={})) == (401, "invalid_access_token")


def test_the_roll_up_is_exact_where_it_is_low(api: httpx.Client, shop: Engine) -> None:
    """A sale of plenty does not touch the product; one that leaves little brings it up to date."""
    customer = log_in(api, CUSTOMER)
    floor = demo_id("Alder Lamp, floor")

    def rolled_up() -> int:
        with Session(shop) as session:
            return session.get_one(Product, demo_id("Alder Lamp")).stock

    set_stock(shop, {LAMP: 100, floor: 1})
    before = rolled_up()
    customer.buy((LAMP, 79))
    assert rolled_up() == before
    customer.buy((LAMP, 1))
    assert rolled_up() == 21
    customer.buy((floor, 1))
    assert rolled_up() == 20


def test_the_check_is_the_last_guard(shop: Engine) -> None:
    """Whatever code may do some day."""
    with shop.connect() as connection, pytest.raises(Exception, match="stock_not_negative"):
        connection.execute(text("UPDATE variant_stock SET stock = -1"))


def test_events_are_written_with_the_order(api: httpx.Client, shop: Engine) -> None:
    """With who did it."""
    customer = log_in(api, CUSTOMER)
    order_id = UUID(customer.buy((LAMP, 1)).json()["id"])
    with Session(shop) as session:
        [event] = session.scalars(select(OrderEvent).where(OrderEvent.order_id == order_id))
    assert (event.reason, event.actor_id) == ("checkout", demo_id(CUSTOMER))


def test_nobody_hoards(serve: Callable[..., httpx.Client], shop: Engine) -> None:
    """However one asks: so many units in an order, so many open orders, so many that were not paid in a day."""
    limits = OrderSettings(most_units=10, most_open=2, most_unpaid_per_day=3)
    api = serve(order=limits)
    with Session(shop) as session:
        session.execute(update(VariantStock).values(stock=1000))
        session.commit()
    customer, other = log_in(api, CUSTOMER), log_in(api, OTHER_CUSTOMER)
    with Session(shop) as session:
        session.execute(update(Order).values(status="delivered"))
        session.commit()
    answer = customer.buy((LAMP, 6), (MUG, 5))
    assert refusal(answer) == (409, "too_many_units")
    assert answer.json()["most"] == 10
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda _: customer.buy((LAMP, 1)), range(6)))
    placed = [answer.json()["id"] for answer in answers if answer.status_code == 201]
    assert len(placed) == 2
    assert {refusal(answer) for answer in answers if answer.status_code != 201} == {
        (409, "too_many_open_orders")
    }
    assert other.buy((LAMP, 1)).status_code == 201
    for order_id in placed:
        customer.post(f"/orders/{order_id}/transitions", {"to": "cancelled"})
    third = customer.buy((LAMP, 1))
    assert third.status_code == 201
    customer.post(f"/orders/{third.json()['id']}/transitions", {"to": "cancelled"})
    assert refusal(customer.buy((LAMP, 1))) == (409, "too_many_open_orders")
    with Session(shop) as session:
        assert session.get_one(VariantStock, LAMP).stock == 999


def test_how_often_one_may_check_out(serve: Callable[..., httpx.Client]) -> None:
    """By customer, whatever is in the cart."""
    api = serve(rate=RateSettings(checkout_per_account="2/minute"))
    customer, other = log_in(api, CUSTOMER), log_in(api, OTHER_CUSTOMER)
    answers = [customer.buy((LAMP, 1)).status_code for _ in range(3)]
    assert answers[2] == 429
    assert other.buy((LAMP, 1)).status_code != 429
