"""What the catalogue answers."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from marketplace.catalog import queries
from marketplace.catalog.schemas import (
    ProductDetail,
    ProductFilters,
    ProductPage,
    ProductSummary,
)
from marketplace.cursors import Cursors, Position
from marketplace.problems import ProductNotFound


async def list_products(
    session: AsyncSession, *, filters: ProductFilters, cursors: Cursors
) -> ProductPage:
    """One page. Products that come or go meanwhile neither repeat nor hide any other."""
    after = cursors.open(filters.cursor) if filters.cursor else None
    rows = list(await session.scalars(queries.product_page(filters, after=after)))
    page = rows[: filters.limit]
    is_last = len(rows) == len(page)
    return ProductPage(
        items=[ProductSummary.model_validate(product) for product in page],
        next_cursor=None
        if is_last
        else cursors.seal(Position(value=page[-1].name, key=page[-1].id)),
    )


async def get_product(session: AsyncSession, *, product_id: UUID) -> ProductDetail:
    """Raises `ProductNotFound`."""
    product = await session.scalar(queries.product_with_variants(product_id))
    if product is None:
        raise ProductNotFound(product_id=product_id)
    return ProductDetail.model_validate(product)
