"""Variants: what is bought. Each change of one also counts as an edit of its product, which shows it."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import joinedload

from marketplace.accounts.principal import Principal
from marketplace.catalog import archiving, stock
from marketplace.catalog.edits import apply, require_own, save
from marketplace.catalog.etags import Expected
from marketplace.catalog.problems import VariantNotFound
from marketplace.catalog.schemas import Adjustment, Availability, NewVariant, VariantEdit
from marketplace.catalog.service import products
from marketplace.database import driver_of
from marketplace.entities import Product, Variant

SKU = "sku"


async def get(session: AsyncSession, variant_id: UUID) -> Variant:
    """Give a variant with its product. Raises `VariantNotFound`."""
    variant = await session.get(Variant, variant_id, options=[joinedload(Variant.product)])
    if variant is None or variant.archived_at is not None:
        raise VariantNotFound(variant_id=variant_id)
    return variant


async def availability(session: AsyncSession, variant_id: UUID) -> Availability:
    """Say how much of a variant can be sold right now. Raises `VariantNotFound`."""
    available = await stock.available(await driver_of(session), [variant_id])
    if variant_id not in available:
        raise VariantNotFound(variant_id=variant_id)
    return Availability(variant_id=variant_id, available=available[variant_id])


async def create(
    session: AsyncSession, product_id: UUID, *, new: NewVariant, principal: Principal
) -> Variant:
    """Add a variant to a product. Raises `ProductNotFound`, `NotYourVendor` or `NameTaken`."""
    # Whoever archives the product waits for us, or we find it archived.
    await products.own(session, product_id, principal=principal, lock=True)
    variant = Variant(product_id=product_id, **new.model_dump())
    session.add(variant)
    await save(session, unique=SKU)
    await stock.begin_with_none(session, variant.id)
    await archiving.count_edit(session, Product.id == product_id)
    return variant


async def edit(
    session: AsyncSession,
    variant_id: UUID,
    *,
    change: VariantEdit,
    expected: Expected,
    principal: Principal,
) -> Variant:
    """Change a variant. Raises `VariantNotFound`, `NotYourVendor`, `VersionMismatch` or `NameTaken`."""
    variant = await _own(session, variant_id, principal=principal)
    expected.require(variant)
    apply(variant, change)
    if session.is_modified(variant):
        await save(session, unique=SKU)
        await archiving.count_edit(session, Product.id == variant.product_id)
    return variant


async def archive(
    session: AsyncSession, variant_id: UUID, *, expected: Expected, principal: Principal
) -> None:
    """Take a variant off sale. Raises `VariantNotFound`, `NotYourVendor` or `VersionMismatch`."""
    variant = await _own(session, variant_id, principal=principal)
    expected.require(variant)
    await archiving.archive_variant(session, variant)
    await save(session)


async def adjust_stock(
    session: AsyncSession, variant_id: UUID, *, adjustment: Adjustment, principal: Principal
) -> Availability:
    """Move the stock of a variant. Raises `VariantNotFound`, `NotYourVendor` or `StockOutOfRange`."""
    await _own(session, variant_id, principal=principal)
    available = await stock.adjust(
        session,
        variant_id,
        delta=adjustment.delta,
        reason=adjustment.reason,
        note=adjustment.note,
        adjusted_by=principal.user_id,
    )
    await save(session)
    return Availability(variant_id=variant_id, available=available)


async def _own(session: AsyncSession, variant_id: UUID, *, principal: Principal) -> Variant:
    variant = await get(session, variant_id)
    require_own(principal, variant.product.vendor_id)
    return variant
