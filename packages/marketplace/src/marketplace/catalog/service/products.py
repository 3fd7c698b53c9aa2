"""Products: read by all, kept by their vendor."""

import json
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from marketplace.accounts.principal import Principal
from marketplace.catalog import archiving, queries
from marketplace.catalog.edits import apply, require_own, save
from marketplace.catalog.etags import Expected
from marketplace.catalog.problems import NotYourVendor, ProductNotFound, VendorNotFound
from marketplace.catalog.schemas import (
    LowProduct,
    LowStockFilters,
    LowStockPage,
    NewProduct,
    ProductEdit,
    ProductFilters,
)
from marketplace.catalog.service.categories import hold_subcategory
from marketplace.cursors import Cursors, Position
from marketplace.database import Connection
from marketplace.entities import Product, Role, Vendor


async def page(connection: Connection, filters: ProductFilters, *, cursors: Cursors) -> bytes:
    """Give one page of products, as the text of a `ProductPage` that the database writes and nobody parses again.

    Products that come or go meanwhile neither repeat nor hide any other.
    """
    query, values = queries.product_page(filters, after=cursors.start(filters))
    rows = await (await connection.execute(query, values)).fetchall()
    products, next_cursor = cursors.cut(
        rows, limit=filters.limit, position=lambda row: Position(value=row[0], key=row[1])
    )
    items = ",".join([text for _, _, text in products])
    return f'{{"items":[{items}],"next_cursor":{json.dumps(next_cursor)}}}'.encode()


async def low_stock(
    session: AsyncSession, filters: LowStockFilters, *, principal: Principal, cursors: Cursors
) -> LowStockPage:
    """Give one page of products that run low; staff of a vendor see its own."""
    if principal.role is not Role.ADMIN:
        filters = filters.model_copy(update={"vendor": principal.vendor_id})
    query = queries.low_stock_page(filters, after=cursors.start(filters))
    products, next_cursor = cursors.cut(
        list(await session.scalars(query)),
        limit=filters.limit,
        position=lambda product: Position(value=str(product.stock), key=product.id),
    )
    items = [LowProduct.model_validate(product) for product in products]
    return LowStockPage(items=items, next_cursor=next_cursor)


async def get(session: AsyncSession, product_id: UUID) -> Product:
    """Give a product with vendor, subcategory and variants. Raises `ProductNotFound`."""
    product = await session.scalar(queries.product_with_variants(product_id))
    if product is None:
        raise ProductNotFound(product_id=product_id)
    return product


async def create(session: AsyncSession, new: NewProduct, *, principal: Principal) -> UUID:
    """Make a product and give its id. Raises `NotYourVendor`, `VendorNotFound` or `SubcategoryNotFound`."""
    vendor_id = new.vendor_id or principal.vendor_id
    if vendor_id is None:  # an administrator has none
        raise NotYourVendor
    require_own(principal, vendor_id)
    # Locked: nobody archives it until the commit.
    vendor = await session.get(Vendor, vendor_id, with_for_update={"read": True})
    if vendor is None or vendor.archived_at is not None:
        raise VendorNotFound(vendor_id=vendor_id)
    await hold_subcategory(session, new.subcategory_id)
    product = Product(**new.model_dump() | {"vendor_id": vendor_id})
    session.add(product)
    await save(session)
    return product.id


async def edit(
    session: AsyncSession,
    product_id: UUID,
    *,
    change: ProductEdit,
    expected: Expected,
    principal: Principal,
) -> None:
    """Change a product.

    Raises `ProductNotFound`, `NotYourVendor`, `SubcategoryNotFound` or `VersionMismatch`.
    """
    product = await own(session, product_id, principal=principal)
    expected.require(product)
    if change.subcategory_id is not None:
        await hold_subcategory(session, change.subcategory_id)
    apply(product, change)
    await save(session)


async def archive(
    session: AsyncSession, product_id: UUID, *, expected: Expected, principal: Principal
) -> None:
    """Archive a product with its variants. Raises `ProductNotFound`, `NotYourVendor` or `VersionMismatch`."""
    product = await own(session, product_id, principal=principal)
    expected.require(product)
    await archiving.archive_product(session, product)
    await save(session)


async def own(
    session: AsyncSession, product_id: UUID, *, principal: Principal, lock: bool = False
) -> Product:
    """Give a product that this user may change. Raises `ProductNotFound` or `NotYourVendor`."""
    product = await session.get(
        Product, product_id, with_for_update={"key_share": True} if lock else None
    )
    if product is None or product.archived_at is not None:
        raise ProductNotFound(product_id=product_id)
    require_own(principal, product.vendor_id)
    return product
