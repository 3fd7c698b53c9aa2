"""The SELECTs of the catalogue."""

from uuid import UUID

from sqlalchemy import Select, select, tuple_
from sqlalchemy.orm import joinedload, selectinload

from marketplace.catalog.schemas import ProductFilters
from marketplace.cursors import Position
from marketplace.entities import Product


def product_page(filters: ProductFilters, *, after: Position | None) -> Select[Product]:
    """The page of `filters` after a position, and one row more: whether there is a next page."""
    query = (
        select(Product)
        .options(joinedload(Product.vendor), joinedload(Product.subcategory))
        .order_by(Product.name, Product.id)
        .limit(filters.limit + 1)
    )
    if filters.q is not None:
        query = query.where(Product.name.startswith(filters.q, autoescape=True))
    if filters.vendor is not None:
        query = query.where(Product.vendor_id == filters.vendor)
    if filters.subcategory is not None:
        query = query.where(Product.subcategory_id == filters.subcategory)
    if after is not None:
        query = query.where(tuple_(Product.name, Product.id) > (after.value, after.key))
    return query


def product_with_variants(product_id: UUID) -> Select[Product]:
    """One product, or no row."""
    return (
        select(Product)
        .options(
            joinedload(Product.vendor),
            joinedload(Product.subcategory),
            selectinload(Product.variants),
        )
        .where(Product.id == product_id)
    )
