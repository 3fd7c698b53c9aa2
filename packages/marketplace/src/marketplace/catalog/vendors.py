"""Vendors: read by all, edited by their staff, added and archived by administrators."""

from uuid import UUID

from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from marketplace.accounts.principal import Principal
from marketplace.catalog import archiving
from marketplace.catalog.edits import apply, require_own, saved
from marketplace.catalog.etags import Expected
from marketplace.catalog.problems import VendorNotFound
from marketplace.catalog.schemas import NewVendor, VendorDetail, VendorEdit, VendorPage
from marketplace.cursors import Cursors, PageRequest, Position
from marketplace.entities import Vendor

Sessions = async_sessionmaker[AsyncSession]


async def page(session: AsyncSession, request: PageRequest, *, cursors: Cursors) -> VendorPage:
    """By name."""
    query = (
        select(Vendor)
        .where(Vendor.archived_at.is_(None))
        .order_by(Vendor.name, Vendor.id)
        .limit(request.limit + 1)
    )
    if after := cursors.start(request):
        query = query.where(tuple_(Vendor.name, Vendor.id) > (after.value, after.key))
    vendors, next_cursor = cursors.cut(
        list(await session.scalars(query)),
        limit=request.limit,
        position=lambda vendor: Position(value=vendor.name, key=vendor.id),
    )
    items = [VendorDetail.model_validate(vendor) for vendor in vendors]
    return VendorPage(items=items, next_cursor=next_cursor)


async def get(session: AsyncSession, vendor_id: UUID) -> Vendor:
    """Raises `VendorNotFound`."""
    vendor = await session.get(Vendor, vendor_id)
    if vendor is None or vendor.archived_at is not None:
        raise VendorNotFound(vendor_id=vendor_id)
    return vendor


async def create(sessions: Sessions, new: NewVendor) -> Vendor:
    """Raises `NameTaken`."""

    async def work(session: AsyncSession) -> Vendor:
        vendor = Vendor(**new.model_dump())
        session.add(vendor)
        return vendor

    return await saved(sessions, work)


async def edit(
    sessions: Sessions,
    vendor_id: UUID,
    *,
    change: VendorEdit,
    expected: Expected,
    principal: Principal,
) -> Vendor:
    """Raises `VendorNotFound`, `NotYourVendor`, `VersionMismatch` or `NameTaken`."""
    require_own(principal, vendor_id)

    async def work(session: AsyncSession) -> Vendor:
        vendor = await get(session, vendor_id)
        expected.require(vendor)
        apply(vendor, change)
        return vendor

    return await saved(sessions, work)


async def archive(sessions: Sessions, vendor_id: UUID, *, expected: Expected) -> None:
    """With all its products. Raises `VendorNotFound` or `VersionMismatch`."""

    async def work(session: AsyncSession) -> None:
        vendor = await get(session, vendor_id)
        expected.require(vendor)
        await archiving.archive_vendor(session, vendor)

    await saved(sessions, work)
