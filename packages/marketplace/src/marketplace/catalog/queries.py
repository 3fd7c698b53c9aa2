"""The SELECTs of the catalogue. What is archived is in none of them."""

from typing import Any
from uuid import UUID

from sqlalchemy import Select, select, tuple_
from sqlalchemy.orm import joinedload, selectinload

from marketplace.catalog.schemas import LowStockFilters, ProductFilters
from marketplace.cursors import PageRequest, Position
from marketplace.entities import Category, Product, Variant, Vendor

LIVE = Product.archived_at.is_(None)


def product_page(filters: ProductFilters, *, after: Position | None) -> Select[Product]:
    """The page of `filters` after a position, and one row more: whether there is a next page."""
    query = _summaries().order_by(Product.name, Product.id).limit(filters.limit + 1)
    if filters.q is not None:
        query = query.where(Product.name.startswith(filters.q, autoescape=True))
    if filters.vendor is not None:
        query = query.where(Product.vendor_id == filters.vendor)
    if filters.subcategory is not None:
        query = query.where(Product.subcategory_id == filters.subcategory)
    if after is not None:
        query = query.where(tuple_(Product.name, Product.id) > (after.value, after.key))
    return query


def low_stock_page(filters: LowStockFilters, *, after: Position | None) -> Select[Product]:
    """What runs low, the lowest first, and one row more."""
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
    """Vendors by name, from a position on, and one row more."""
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
    """Every category by name, each with its subcategories."""
    return select(Category).options(selectinload(Category.subcategories)).order_by(Category.name)


def product_with_variants(product_id: UUID) -> Select[Product]:
    """One product with its variants, or no row."""
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
