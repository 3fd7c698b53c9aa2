"""Variants: what is bought. Each change of one is an edit of its product, too, which shows it."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import joinedload

from marketplace.accounts.principal import Principal
from marketplace.catalog import archiving, products, stock
from marketplace.catalog.edits import apply, require_own, saved
from marketplace.catalog.etags import Expected
from marketplace.catalog.problems import VariantNotFound
from marketplace.catalog.schemas import Adjustment, Availability, NewVariant, VariantEdit
from marketplace.database import driver_of
from marketplace.entities import Product, Variant

Sessions = async_sessionmaker[AsyncSession]
SKU = "sku"


async def get(session: AsyncSession, variant_id: UUID) -> Variant:
    """With its product. Raises `VariantNotFound`."""
    variant = await session.get(Variant, variant_id, options=[joinedload(Variant.product)])
    if variant is None or variant.archived_at is not None:
        raise VariantNotFound(variant_id=variant_id)
    return variant


async def availability(session: AsyncSession, variant_id: UUID) -> Availability:
    """Raises `VariantNotFound`."""
    variant = await get(session, variant_id)
    return Availability(variant_id=variant.id, available=variant.stock)


async def create(
    sessions: Sessions, product_id: UUID, *, new: NewVariant, principal: Principal
) -> Variant:
    """Raises `ProductNotFound`, `NotYourVendor` or `NameTaken`."""

    async def work(session: AsyncSession) -> Variant:
        # Whoever archives the product waits for us, or we find it archived.
        await products.own(session, product_id, principal=principal, lock=True)
        variant = Variant(product_id=product_id, **new.model_dump())
        session.add(variant)
        await session.flush()
        await archiving.count_edit(session, Product.id == product_id)
        return variant

    return await saved(sessions, work, unique=SKU)


async def edit(
    sessions: Sessions,
    variant_id: UUID,
    *,
    change: VariantEdit,
    expected: Expected,
    principal: Principal,
) -> Variant:
    """Raises `VariantNotFound`, `NotYourVendor`, `VersionMismatch` or `NameTaken`."""

    async def work(session: AsyncSession) -> Variant:
        variant = await _own(session, variant_id, principal=principal)
        expected.require(variant)
        apply(variant, change)
        if session.is_modified(variant):
            await session.flush()
            await archiving.count_edit(session, Product.id == variant.product_id)
        return variant

    return await saved(sessions, work, unique=SKU)


async def archive(
    sessions: Sessions, variant_id: UUID, *, expected: Expected, principal: Principal
) -> None:
    """Raises `VariantNotFound`, `NotYourVendor` or `VersionMismatch`."""

    async def work(session: AsyncSession) -> None:
        variant = await _own(session, variant_id, principal=principal)
        expected.require(variant)
        await archiving.archive_variant(session, variant)

    await saved(sessions, work)


async def adjust_stock(
    sessions: Sessions, variant_id: UUID, *, adjustment: Adjustment, principal: Principal
) -> Availability:
    """Raises `VariantNotFound`, `NotYourVendor` or `StockOutOfRange`."""

    async def work(session: AsyncSession) -> Availability:
        await _own(session, variant_id, principal=principal)
        available = await stock.adjust(
            await driver_of(session),
            variant_id,
            delta=adjustment.delta,
            reason=adjustment.reason,
            note=adjustment.note,
            adjusted_by=principal.user_id,
        )
        return Availability(variant_id=variant_id, available=available)

    return await saved(sessions, work)


async def _own(session: AsyncSession, variant_id: UUID, *, principal: Principal) -> Variant:
    variant = await get(session, variant_id)
    require_own(principal, variant.product.vendor_id)
    return variant
