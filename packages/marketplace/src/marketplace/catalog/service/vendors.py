"""Vendors: read by all, edited by their staff, added and archived by administrators."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from marketplace.accounts.principal import Principal
from marketplace.catalog import archiving, queries
from marketplace.catalog.edits import apply, require_own, save
from marketplace.catalog.etags import Expected
from marketplace.catalog.problems import VendorNotFound
from marketplace.catalog.schemas import NewVendor, VendorDetail, VendorEdit, VendorPage
from marketplace.cursors import Cursors, PageRequest, Position
from marketplace.entities import Vendor


async def page(session: AsyncSession, request: PageRequest, *, cursors: Cursors) -> VendorPage:
    """Give one page of vendors, by name."""
    query = queries.vendor_page(request, after=cursors.start(request))
    vendors, next_cursor = cursors.cut(
        list(await session.scalars(query)),
        limit=request.limit,
        position=lambda vendor: Position(value=vendor.name, key=vendor.id),
    )
    items = [VendorDetail.model_validate(vendor) for vendor in vendors]
    return VendorPage(items=items, next_cursor=next_cursor)


async def get(session: AsyncSession, vendor_id: UUID) -> Vendor:
    """Give the vendor with this id. Raises `VendorNotFound`."""
    vendor = await session.get(Vendor, vendor_id)
    if vendor is None or vendor.archived_at is not None:
        raise VendorNotFound(vendor_id=vendor_id)
    return vendor


async def create(session: AsyncSession, new: NewVendor) -> Vendor:
    """Make a vendor. Raises `NameTaken`."""
    vendor = Vendor(**new.model_dump())
    session.add(vendor)
    await save(session)
    return vendor


async def edit(
    session: AsyncSession,
    vendor_id: UUID,
    *,
    change: VendorEdit,
    expected: Expected,
    principal: Principal,
) -> Vendor:
    """Change a vendor. Raises `VendorNotFound`, `NotYourVendor`, `VersionMismatch` or `NameTaken`."""
    require_own(principal, vendor_id)
    vendor = await get(session, vendor_id)
    expected.require(vendor)
    apply(vendor, change)
    await save(session)
    return vendor


async def archive(session: AsyncSession, vendor_id: UUID, *, expected: Expected) -> None:
    """Archive a vendor with all its products. Raises `VendorNotFound` or `VersionMismatch`."""
    vendor = await get(session, vendor_id)
    expected.require(vendor)
    await archiving.archive_vendor(session, vendor)
    await save(session)
