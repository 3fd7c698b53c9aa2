"""Archives what is no longer sold: it stays for the orders that refer to it, and frees its name or sku.

Archiving goes down: a vendor's products, a product's variants; so a variant's own row says whether it
is for sale. Locks are taken as everywhere: variants by id, then products by id. What somebody adds
meanwhile has to wait for the parent's row, and then finds it archived, or is itself found here.
"""

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from marketplace.catalog import stock
from marketplace.entities import Product, Variant, Vendor


async def archive_vendor(session: AsyncSession, vendor: Vendor) -> None:
    """Archive a vendor whose version the caller has compared; a lost race raises `StaleDataError`."""
    products = Product.vendor_id == vendor.id
    await _lock(session, products)
    vendor.archived_at = func.now()
    await session.flush()
    await _archive(session, products)


async def archive_product(session: AsyncSession, product: Product) -> None:
    """Archive a product whose version the caller has compared; a lost race raises `StaleDataError`."""
    itself = Product.id == product.id
    await _lock(session, itself)
    product.archived_at = func.now()
    await session.flush()
    await _archive(session, itself)


async def archive_variant(session: AsyncSession, variant: Variant) -> None:
    """Archive a variant, which also counts as an edit of its product."""
    variant.archived_at = func.now()
    await session.flush()
    await count_edit(session, Product.id == variant.product_id)
    await stock.roll_up(session, variant.product_id)


async def count_edit(session: AsyncSession, products: ColumnElement[bool]) -> None:
    """Count an edit of a product: its answer shows its variants, so its version changes with theirs."""
    await session.execute(update(Product).where(products).values(version=Product.version + 1))


async def _lock(session: AsyncSession, products: ColumnElement[bool]) -> None:
    product_ids = select(Product.id).where(products)
    variant_ids = select(Variant.id).where(Variant.product_id.in_(product_ids))
    for rows in (variant_ids.order_by(Variant.id), product_ids.order_by(Product.id)):
        await session.execute(rows.with_for_update(key_share=True))


async def _archive(session: AsyncSession, products: ColumnElement[bool]) -> None:
    product_ids = select(Product.id).where(products)
    live = Variant.archived_at.is_(None)
    await session.execute(
        update(Variant)
        .where(Variant.product_id.in_(product_ids), live)
        .values(archived_at=func.now(), version=Variant.version + 1)
    )
    await session.execute(
        update(Product)
        .where(products, Product.archived_at.is_(None))
        .values(archived_at=func.now(), version=Product.version + 1)
    )
