"""The catalogue over HTTP, on a real server and a real database."""

from collections.abc import Callable, Iterator

import httpx
import pytest
from sqlalchemy import Engine, insert, select
from sqlalchemy.orm import Session

from marketplace.demo_data import demo_id
from marketplace.entities import Product


@pytest.fixture
def api(api_to_read: httpx.Client) -> httpx.Client:
    """Whoever puts something on sale takes `serve` instead."""
    return api_to_read


def pages(api: httpx.Client, **parameters: str | int) -> Iterator[list[dict[str, object]]]:
    """Each page of a walk, fetched when it is asked for."""
    while True:
        answer = api.get("/products", params=parameters)
        assert answer.status_code == 200, answer.text
        yield answer.json()["items"]
        if (cursor := answer.json()["next_cursor"]) is None:
            return
        parameters["cursor"] = cursor


def names(api: httpx.Client, **parameters: str | int) -> list[object]:
    return [product["name"] for page in pages(api, **parameters) for product in page]


def put_on_sale(engine: Engine, *, named: list[str]) -> None:
    shelf = {"vendor_id": demo_id("Northbound"), "subcategory_id": demo_id("Pans")}
    with Session(engine) as session:
        session.execute(
            insert(Product),
            [{"name": name, "price": 100, "currency": "EUR", **shelf} for name in named],
        )
        session.commit()


def test_a_page(api: httpx.Client) -> None:
    """In the order of the names; price in minor units; stock is not told here."""
    answer = api.get("/products", params={"limit": 1})
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["items"] == [
        {
            "id": str(demo_id("Alder Blanket")),
            "name": "Alder Blanket",
            "price": 7400,
            "currency": "EUR",
            "vendor": {"id": str(demo_id("Alder & Ash")), "name": "Alder & Ash"},
            "subcategory": {"id": str(demo_id("Blankets")), "name": "Blankets"},
        }
    ]


def test_a_walk_meets_every_product_once_while_others_insert(
    serve: Callable[..., httpx.Client], shop: Engine
) -> None:
    """New products before, at and after the cursor neither repeat nor hide one."""
    api = serve()
    with Session(shop) as session:
        known = set(session.scalars(select(Product.id)))
    seen: list[str] = []
    for number, page in enumerate(pages(api, limit=7)):
        seen += [str(product["id"]) for product in page]
        if number < 5:
            put_on_sale(shop, named=["Aardvark", str(page[-1]["name"]), "Zebra"])
    assert len(seen) == len(set(seen))
    assert {str(product_id) for product_id in known} <= set(seen)


def test_products_of_the_same_name_stay_apart(
    serve: Callable[..., httpx.Client], shop: Engine
) -> None:
    """The key breaks the tie, also when the page ends between them."""
    api = serve()
    put_on_sale(shop, named=["Zebra"] * 5)
    assert [len(page) for page in pages(api, q="Zebra", limit=2)] == [2, 2, 1]
    found = [product["id"] for page in pages(api, q="Zebra", limit=2) for product in page]
    assert len(set(found)) == 5


def test_the_last_page_says_so(api: httpx.Client) -> None:
    """Whether it is full or not; there is no empty one after it."""
    assert [len(page) for page in pages(api, limit=59)] == [59, 1]
    assert [len(page) for page in pages(api, limit=60)] == [60]
    assert [len(page) for page in pages(api, limit=61)] == [60]


def test_filters(api: httpx.Client) -> None:
    """By the beginning of the name, by vendor, by subcategory, and by all at once."""
    assert len(names(api, q="Ash ")) == 10
    assert len(names(api, vendor=str(demo_id("Copper Kettle")))) == 20
    assert len(names(api, subcategory=str(demo_id("Tents")))) == 6
    assert names(
        api,
        q="F",
        vendor=str(demo_id("Northbound")),
        subcategory=str(demo_id("Tents")),
    ) == ["Fjord Tent"]
    assert names(api, vendor=str(demo_id("Northbound")), q="Alder") == []


@pytest.mark.parametrize("q", ["%", "_lder", "\\", "alder"])
def test_a_prefix_is_meant_as_written(api: httpx.Client, q: str) -> None:
    """No wildcard, and no other case."""
    assert names(api, q=q) == []


@pytest.mark.parametrize(
    ("parameters", "fault"),
    [
        ({"limit": "0"}, "query.limit"),
        ({"limit": "101"}, "query.limit"),
        ({"q": ""}, "query.q"),
        ({"q": "a\x00"}, "query.q"),
        ({"vendor": "acme"}, "query.vendor"),
        ({"limt": "3"}, "query.limt"),
    ],
)
def test_an_invalid_request_says_where(
    api: httpx.Client, parameters: dict[str, str], fault: str
) -> None:
    """422 with the parameter that is wrong; an unknown one is wrong too."""
    answer = api.get("/products", params=parameters)
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "invalid_request")
    assert [error["where"] for error in problem["errors"]] == [fault]


def test_a_cursor_that_was_tampered_with_is_refused(api: httpx.Client) -> None:
    """400, whatever was changed in it."""
    cursor = api.get("/products", params={"limit": 1}).json()["next_cursor"]
    for forged in ("x", cursor + "x", "x" + cursor, cursor.split(".")[0]):
        answer = api.get("/products", params={"cursor": forged})
        assert answer.headers["content-type"] == "application/problem+json"
        assert (answer.status_code, answer.json()) == (
            400,
            {
                "type": "about:blank",
                "title": "Bad Request",
                "status": 400,
                "code": "invalid_cursor",
                "detail": "The cursor is not one of ours, or has expired; begin again without one.",
                "request_id": answer.headers["x-request-id"],
            },
        )


def test_a_product(api: httpx.Client) -> None:
    """With its variants, and the version of each."""
    answer = api.get(f"/products/{demo_id('Fjord Pen')}")
    assert answer.json() == {
        "id": str(demo_id("Fjord Pen")),
        "name": "Fjord Pen",
        "description": "From Northbound: pen of the Fjord line.",
        "price": 1700,
        "currency": "EUR",
        "version": 1,
        "vendor": {"id": str(demo_id("Northbound")), "name": "Northbound"},
        "subcategory": {"id": str(demo_id("Pens")), "name": "Pens"},
        "variants": [
            {
                "id": str(demo_id("Fjord Pen, broad")),
                "sku": "FJORD-PEN-BROAD",
                "name": "broad",
                "price": 2125,
                "currency": "EUR",
                "version": 1,
            },
            {
                "id": str(demo_id("Fjord Pen, fine")),
                "sku": "FJORD-PEN-FINE",
                "name": "fine",
                "price": 1700,
                "currency": "EUR",
                "version": 1,
            },
        ],
    }


def test_no_such_product(api: httpx.Client) -> None:
    """404, as a problem with a code of its own."""
    nowhere = demo_id("nowhere")
    answer = api.get(f"/products/{nowhere}")
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, answer.json()) == (
        404,
        {
            "type": "about:blank",
            "title": "Not Found",
            "status": 404,
            "code": "product_not_found",
            "detail": f"There is no product {nowhere}.",
            "request_id": answer.headers["x-request-id"],
        },
    )
