"""The SELECTs of the catalogue. None of them shows what is archived."""

import re
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select, tuple_
from sqlalchemy.orm import joinedload, selectinload

from marketplace.catalog.schemas import LowStockFilters, ProductFilters
from marketplace.cursors import MOST_ON_PAGE, PageRequest, Position
from marketplace.entities import Category, Product, Variant, Vendor

LIVE = Product.archived_at.is_(None)


# A row: where the product stands among all, and what a page says of it, as JSON. The page is cut before anything
# of other tables is looked up. It is cut twice because the planner does not know `rows`: it would expect a tenth of all
# products, and rather make a plan of its own for each page than keep one. Of a tenth of {most} rows it keeps the plan.
PRODUCTS = """
    SELECT page.name, page.id, json_build_object(
        'id', page.id, 'name', page.name, 'price', price, 'currency', currency,
        'vendor', json_build_object('id', vendors.id, 'name', vendors.name),
        'subcategory', json_build_object('id', subcategories.id, 'name', subcategories.name))::text
    FROM (SELECT * FROM (SELECT * FROM products WHERE {conditions} ORDER BY name, id LIMIT {most}) AS longest
          ORDER BY name, id LIMIT %(rows)s) AS page
         JOIN vendors ON vendors.id = vendor_id JOIN subcategories ON subcategories.id = subcategory_id
    ORDER BY page.name, page.id
"""
PRODUCT_CONDITIONS = {
    "q": "name LIKE %(q)s",
    "vendor": "vendor_id = %(vendor)s",
    "subcategory": "subcategory_id = %(subcategory)s",
    "after": "(name, id) > (%(name)s, %(id)s)",
}
WILDCARDS = re.compile(r"[\\%_]")


@cache
def products_where(asked: tuple[str, ...]) -> str:
    """Write the statement for a page under these of `PRODUCT_CONDITIONS`: one text per choice, to be prepared."""
    conditions = ["archived_at IS NULL", *(PRODUCT_CONDITIONS[name] for name in asked)]
    return PRODUCTS.replace("{conditions}", " AND ".join(conditions)).replace(
        "{most}", str(MOST_ON_PAGE + 1)
    )


def product_page(filters: ProductFilters, *, after: Position | None) -> tuple[str, dict[str, Any]]:
    """Give the query for a page of `filters` after a position, and one row more; for psycopg's own connection."""
    values: dict[str, Any] = {"rows": filters.limit + 1}
    asked = []
    if filters.q is not None:
        asked.append("q")
        values["q"] = WILDCARDS.sub(r"\\\g<0>", filters.q) + "%"
    if filters.vendor is not None:
        asked.append("vendor")
        values["vendor"] = filters.vendor
    if filters.subcategory is not None:
        asked.append("subcategory")
        values["subcategory"] = filters.subcategory
    if after is not None:
        asked.append("after")
        values |= {"name": after.value, "id": after.key}
    return products_where(tuple(asked)), values


def low_stock_page(filters: LowStockFilters, *, after: Position | None) -> Select[Product]:
    """Select what runs low, the lowest first, and one row more."""
    query = (
        _summaries()
        .where(Product.stock <= filters.at_most)
        .order_by(Product.stock, Product.id)
        .limit(filters.limit + 1)
    )
    if filters.vendor is not None:
        query = query.where(Product.vendor_id == filters.vendor)
    if after is not None:
        query = query.where(tuple_(Product.stock, Product.id) > (int(after.value), after.key))
    return query


def vendor_page(page: PageRequest, *, after: Position | None) -> Select[Vendor]:
    """Select vendors by name, from a position on, and one row more."""
    query = (
        select(Vendor)
        .where(Vendor.archived_at.is_(None))
        .order_by(Vendor.name, Vendor.id)
        .limit(page.limit + 1)
    )
    if after is None:
        return query
    return query.where(tuple_(Vendor.name, Vendor.id) > (after.value, after.key))


def category_tree() -> Select[Category]:
    """Select every category by name, each with its subcategories."""
    return select(Category).options(selectinload(Category.subcategories)).order_by(Category.name)


def product_with_variants(product_id: UUID) -> Select[Product]:
    """Select one product with its variants; gives one row or none."""
    return (
        _summaries()
        .options(selectinload(Product.variants.and_(Variant.archived_at.is_(None))))
        .where(Product.id == product_id)
    )


def _summaries() -> Select[Any]:
    return (
        select(Product)
        .options(joinedload(Product.vendor), joinedload(Product.subcategory))
        .where(LIVE)
    )
