"""Whoever edits says which version is meant; of two edits of the same version one is made."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest
from shoppers import ADMIN, CUSTOMER, OTHER_VENDOR, VENDOR, log_in, refusal
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from holdfast.testing.blockers import wait_until_waiting
from marketplace.demo_data import demo_id
from marketplace.entities import StockAdjustment

LIMIT = 30
LAMP, DESK = demo_id("Alder Lamp"), demo_id("Alder Lamp, desk")
ALDER_AND_ASH = demo_id("Alder & Ash")

EDITABLE = {
    f"/vendors/{ALDER_AND_ASH}": ("name", VENDOR),
    f"/products/{LAMP}": ("name", VENDOR),
    f"/variants/{DESK}": ("sku", VENDOR),
    f"/categories/{demo_id('Home')}": ("name", ADMIN),
    f"/subcategories/{demo_id('Lamps')}": ("name", ADMIN),
}


@contextmanager
def locked(shop: Engine, table: str) -> Iterator[None]:
    """Nobody else writes to the table meanwhile."""
    with shop.begin() as connection:
        connection.execute(text(f"LOCK TABLE {table} IN EXCLUSIVE MODE"))
        yield


@pytest.mark.parametrize("path", EDITABLE)
def test_an_edit_and_its_version(api: httpx.Client, path: str) -> None:
    """428 without one, 412 with a stale one and then the current one; the answer has the new tag."""
    part, email = EDITABLE[path]
    editor = log_in(api, email)
    change = {part: "Another-one"}
    assert api.get(path).headers["ETag"] == '"1"'
    assert refusal(editor.patch(path, change)) == (428, "version_required")
    assert refusal(editor.patch(path, change, If_Match='"7"')) == (412, "version_mismatch")
    edited = editor.patch(path, change, If_Match='"1"')
    assert (edited.status_code, edited.headers["ETag"]) == (200, '"2"')
    assert edited.json()[part] == api.get(path).json()[part] == "Another-one"
    assert api.get(path).headers["ETag"] == '"2"'


def test_a_stale_edit_is_refused(api: httpx.Client) -> None:
    """With the version that is current, in the body and as ETag; also when it would change nothing."""
    vendor = log_in(api, VENDOR)
    path = f"/products/{LAMP}"
    edited = vendor.patch(path, {"name": "Lamp"}, If_Match='"1"')
    assert (edited.status_code, edited.headers["ETag"]) == (200, '"2"')
    assert (edited.json()["name"], edited.json()["version"]) == ("Lamp", 2)
    for change in ({"name": "Other"}, {"name": "Lamp"}, {}):
        for stale in ('"1"', '"3"', 'W/"2"', "2", "nonsense"):
            answer = vendor.patch(path, change, If_Match=stale)
            assert refusal(answer) == (412, "version_mismatch")
            assert (answer.json()["current_version"], answer.headers["ETag"]) == (2, '"2"')
    unchanged = vendor.patch(path, {}, If_Match='"1", "2"')
    assert (unchanged.status_code, unchanged.headers["ETag"]) == (200, '"2"')
    assert refusal(vendor.delete(path)) == (428, "version_required")
    assert refusal(vendor.delete(path, If_Match='"1"')) == (412, "version_mismatch")


def test_the_version_may_come_in_the_body(api: httpx.Client) -> None:
    """For clients that cannot set headers; where both come, the header counts."""
    vendor = log_in(api, VENDOR)
    path = f"/variants/{DESK}"
    assert vendor.patch(path, {"name": "a", "version": 1}).json()["version"] == 2
    assert refusal(vendor.patch(path, {"name": "b", "version": 1})) == (412, "version_mismatch")
    assert vendor.patch(path, {"name": "b", "version": 1}, If_Match='"2"').status_code == 200


def test_only_administrators_edit_whatever_the_version(api: httpx.Client) -> None:
    """If-Match: * would let a vendor overwrite what nobody has read."""
    path = f"/products/{LAMP}"
    answer = log_in(api, VENDOR).patch(path, {"name": "Lamp"}, If_Match="*")
    assert refusal(answer) == (428, "version_required")
    assert log_in(api, ADMIN).patch(path, {"name": "Lamp"}, If_Match="*").status_code == 200


def test_a_race_that_is_lost_after_the_comparison(api: httpx.Client, shop: Engine) -> None:
    """Both have read and compared version 1; one edit is made, the other is told of version 2."""
    vendor = log_in(api, VENDOR)
    url = shop.url.set(drivername="postgresql").render_as_string(hide_password=False)

    def edit(name: str) -> httpx.Response:
        return vendor.patch(f"/products/{LAMP}", {"name": name}, If_Match='"1"')

    with ThreadPoolExecutor(2) as threads:
        with locked(shop, "products"):
            edits = [threads.submit(edit, name) for name in ("one", "two")]
            wait_until_waiting(url, sessions=2)
        answers = [edit.result(LIMIT) for edit in edits]
    assert sorted(answer.status_code for answer in answers) == [200, 412]
    [lost] = [answer for answer in answers if answer.status_code == 412]
    assert lost.json()["current_version"] == 2


def test_a_variant_is_part_of_its_product(api: httpx.Client) -> None:
    """Whoever edits a product has read its variants: a change of these is one of the product."""
    vendor = log_in(api, VENDOR)
    product = f"/products/{LAMP}"
    vendor.patch(f"/variants/{DESK}", {"price": 1}, If_Match='"1"')
    assert api.get(product).headers["ETag"] == '"2"'
    new = {"sku": "ALDER-LAMP-WALL", "name": "wall", "price": 6000, "currency": "EUR"}
    created = vendor.post(f"{product}/variants", new)
    assert (created.status_code, created.headers["ETag"]) == (201, '"1"')
    assert api.get(product).headers["ETag"] == '"3"'
    assert vendor.delete(f"/variants/{created.json()['id']}", If_Match='"1"').status_code == 204
    assert api.get(product).headers["ETag"] == '"4"'
    assert [variant["name"] for variant in api.get(product).json()["variants"]] == ["desk", "floor"]


def test_a_sale_makes_no_edit_stale(api: httpx.Client, shop: Engine) -> None:
    """Stock is not in what is tagged, and no edit can set it."""
    vendor, customer = log_in(api, VENDOR), log_in(api, CUSTOMER)
    vendor.post(f"/variants/{DESK}/stock-adjustments", {"delta": 5, "reason": "received"})
    customer.buy((DESK, 1))
    assert vendor.patch(f"/variants/{DESK}", {"price": 1}, If_Match='"1"').status_code == 200
    answer = vendor.patch(f"/variants/{DESK}", {"stock": 7}, If_Match='"2"')
    assert refusal(answer) == (422, "invalid_request")
    assert "stock" not in api.get(f"/variants/{DESK}").json()


def test_vendors_edit_only_their_own(api: httpx.Client) -> None:
    """Another vendor is refused, whatever the version; an administrator is not."""
    other, admin = log_in(api, OTHER_VENDOR), log_in(api, ADMIN)
    for path in (f"/vendors/{ALDER_AND_ASH}", f"/products/{LAMP}", f"/variants/{DESK}"):
        answer = other.patch(path, {"name": "Mine"}, If_Match='"1"')
        assert refusal(answer) == (403, "not_your_vendor")
    for path in (f"/products/{LAMP}", f"/variants/{DESK}"):
        assert refusal(other.delete(path, If_Match='"1"')) == (403, "not_your_vendor")
    new = {"sku": "X", "name": "x", "price": 1, "currency": "EUR"}
    answer = other.post(f"/products/{LAMP}/variants", new)
    assert refusal(answer) == (403, "not_your_vendor")
    adjustment = {"delta": 1, "reason": "received"}
    answer = other.post(f"/variants/{DESK}/stock-adjustments", adjustment)
    assert refusal(answer) == (403, "not_your_vendor")
    product = {
        "vendor_id": str(ALDER_AND_ASH),
        "subcategory_id": str(demo_id("Lamps")),
        "name": "Lamp",
        "price": 1,
        "currency": "EUR",
    }
    assert refusal(other.post("/products", product)) == (403, "not_your_vendor")
    assert admin.patch(f"/products/{LAMP}", {"name": "x"}, If_Match='"1"').status_code == 200
    assert admin.post("/products", product).status_code == 201


def test_what_each_role_may_not(api: httpx.Client) -> None:
    """Customers keep nothing of the catalogue; vendors neither vendors nor categories."""
    customer, vendor = log_in(api, CUSTOMER), log_in(api, VENDOR)
    refused = (403, "role_not_allowed")
    for path, (part, email) in EDITABLE.items():
        assert refusal(customer.patch(path, {part: "x"}, If_Match='"1"')) == refused
        assert refusal(customer.delete(path, If_Match='"1"')) == refused
        if email == ADMIN or path.startswith("/vendors"):
            assert refusal(vendor.delete(path, If_Match='"1"')) == refused
    for path in ("/products", f"/products/{LAMP}/variants", "/vendors", "/categories"):
        assert refusal(customer.post(path, {"name": "x"})) == refused
    for path in ("/vendors", "/categories", "/subcategories"):
        assert refusal(vendor.post(path, {"name": "x"})) == refused
    assert refusal(customer.get("/low-stock")) == refused
    assert refusal(api.post("/products", json={})) == (401, "invalid_access_token")


def test_a_life_in_the_catalogue(api: httpx.Client) -> None:
    """Category, subcategory, vendor, product and variant: created, taken names refused, archived."""
    admin = log_in(api, ADMIN)
    category = admin.post("/categories", {"name": "Garden"}).json()
    assert refusal(admin.post("/categories", {"name": "Garden"})) == (409, "name_taken")
    new = {"name": "Spades", "category_id": category["id"]}
    subcategory = admin.post("/subcategories", new).json()
    assert refusal(admin.post("/subcategories", new)) == (409, "name_taken")
    assert refusal(admin.post("/subcategories", new | {"category_id": str(LAMP)})) == (
        404,
        "category_not_found",
    )
    vendor = admin.post("/vendors", {"name": "Spade & Fork"}).json()
    assert refusal(admin.post("/vendors", {"name": "Spade & Fork"})) == (409, "name_taken")
    product = admin.post(
        "/products",
        {
            "vendor_id": vendor["id"],
            "subcategory_id": subcategory["id"],
            "name": "Spade",
            "price": 3900,
            "currency": "EUR",
        },
    ).json()
    variant_form = {"sku": "SPADE", "name": "long", "price": 3900, "currency": "EUR"}
    variants = f"/products/{product['id']}/variants"
    variant = admin.post(variants, variant_form).json()
    assert refusal(admin.post(variants, variant_form)) == (409, "name_taken")

    tree = api.get("/categories").json()["items"]
    assert [row["name"] for row in tree] == ["Garden", "Home", "Kitchen", "Outdoors", "Paper"]
    assert tree[0]["subcategories"] == [subcategory]
    path = f"/categories/{category['id']}"
    assert refusal(admin.delete(path, If_Match='"1"')) == (409, "still_in_use")
    path = f"/subcategories/{subcategory['id']}"
    assert refusal(admin.delete(path, If_Match='"1"')) == (409, "still_in_use")

    assert admin.delete(f"/vendors/{vendor['id']}", If_Match='"1"').status_code == 204
    for gone in (
        f"/vendors/{vendor['id']}",
        f"/products/{product['id']}",
        f"/variants/{variant['id']}",
    ):
        assert api.get(gone).status_code == 404
    assert api.get("/products", params={"q": "Spade"}).json()["items"] == []
    assert refusal(admin.post(variants, variant_form)) == (404, "product_not_found")
    assert admin.post("/vendors", {"name": "Spade & Fork"}).status_code == 201
    freed = {"sku": "SPADE", "name": "x", "price": 1, "currency": "EUR"}
    assert admin.post(f"/products/{LAMP}/variants", freed).status_code == 201


def test_an_empty_category_may_go(api: httpx.Client) -> None:
    """And what is in it may move first."""
    admin = log_in(api, ADMIN)
    category = admin.post("/categories", {"name": "Garden"}).json()
    path = f"/subcategories/{demo_id('Lamps')}"
    moved = admin.patch(path, {"category_id": category["id"]}, If_Match='"1"')
    assert moved.json()["category_id"] == category["id"]
    new = {"name": "Spades", "category_id": category["id"]}
    subcategory = admin.post("/subcategories", new).json()
    assert admin.delete(f"/subcategories/{subcategory['id']}", If_Match='"1"').status_code == 204
    admin.patch(path, {"category_id": str(demo_id("Home"))}, If_Match='"2"')
    assert admin.delete(f"/categories/{category['id']}", If_Match='"1"').status_code == 204
    assert api.get(f"/categories/{category['id']}").status_code == 404


def test_vendors_by_name(api: httpx.Client) -> None:
    """A page at a time."""
    first = api.get("/vendors", params={"limit": 2}).json()
    assert [vendor["name"] for vendor in first["items"]] == ["Alder & Ash", "Copper Kettle"]
    last = api.get("/vendors", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [vendor["name"] for vendor in last["items"]] == ["Northbound"]
    assert last["next_cursor"] is None
    other = api.get("/products", params={"cursor": first["next_cursor"]})
    assert refusal(other) == (400, "invalid_cursor")


def test_stock_moves_by_delta(api: httpx.Client, shop: Engine) -> None:
    """With a reason on record; never below zero, never by an edit; and nobody caches what there is."""
    vendor = log_in(api, VENDOR)
    path = f"/variants/{DESK}/stock-adjustments"
    before = api.get(f"/variants/{DESK}/availability")
    assert before.headers["Cache-Control"] == "no-store"
    stock = before.json()["available"]
    answer = vendor.post(path, {"delta": 5, "reason": "received", "note": "delivery 7"})
    assert answer.status_code == 201
    assert answer.json() == {"variant_id": str(DESK), "available": stock + 5}
    answer = vendor.post(path, {"delta": -stock - 6, "reason": "lost"})
    assert refusal(answer) == (409, "stock_out_of_range")
    assert answer.json()["available"] == stock + 5
    assert refusal(vendor.post(path, {"delta": 0, "reason": "lost"})) == (422, "invalid_request")
    with Session(shop) as session:
        [record] = session.scalars(select(StockAdjustment))
    assert (record.delta, record.stock_after, record.reason, record.note) == (
        5,
        stock + 5,
        "received",
        "delivery 7",
    )
    assert record.adjusted_by_id == demo_id(VENDOR)


def test_what_runs_low(api: httpx.Client) -> None:
    """The lowest first; a vendor sees its own, an administrator all, or one's."""
    vendor, admin = log_in(api, VENDOR), log_in(api, ADMIN)
    page = vendor.get("/low-stock?limit=100").json()["items"]
    assert page
    assert {product["vendor"]["name"] for product in page} == {"Alder & Ash"}
    assert [product["stock"] for product in page] == sorted(product["stock"] for product in page)
    assert all(product["stock"] <= 20 for product in page)
    everything = admin.get("/low-stock?limit=100").json()["items"]
    assert len({product["vendor"]["name"] for product in everything}) > 1
    assert admin.get(f"/low-stock?limit=100&vendor={ALDER_AND_ASH}").json()["items"] == page
    first = admin.get("/low-stock?limit=1").json()
    second = admin.get(f"/low-stock?limit=1&cursor={first['next_cursor']}").json()
    assert [*first["items"], *second["items"]] == everything[:2]
