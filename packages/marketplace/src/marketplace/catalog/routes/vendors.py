"""The routes of vendors."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Response

from marketplace.accounts.principal import Administrator, Editor
from marketplace.catalog.etags import TAGGED, IfMatch, expected, tag
from marketplace.catalog.problems import BY_ADMIN, BY_EDITOR, VERSIONED, NameTaken, VendorNotFound
from marketplace.catalog.schemas import NewVendor, VendorDetail, VendorEdit, VendorPage
from marketplace.catalog.service import vendors
from marketplace.cursors import Cursors, PageRequest, cursors_of
from marketplace.database import RequestTransactions
from marketplace.entities import Vendor
from marketplace.problems import InvalidCursor, InvalidRequest, api_router, documented

router = api_router(prefix="/vendors", tags=["catalogue"])


@router.get("", responses=documented(InvalidCursor, InvalidRequest))
async def list_vendors(
    transactions: RequestTransactions,
    page: Annotated[PageRequest, Query()],
    cursors: Annotated[Cursors, Depends(cursors_of("vendors"))],
) -> VendorPage:
    """List vendors by name, a page at a time."""
    return await transactions.read_page(vendors.page, page, cursors=cursors)


@router.get(
    "/{vendor_id}",
    response_model=VendorDetail,
    responses=TAGGED | documented(VendorNotFound, InvalidRequest),
)
async def get_vendor(
    transactions: RequestTransactions, vendor_id: UUID, response: Response
) -> Vendor:
    """Get one vendor that is not archived."""
    vendor = await transactions.read(vendors.get, vendor_id)
    tag(response, vendor)
    return vendor


@router.post(
    "",
    status_code=201,
    response_model=VendorDetail,
    responses=documented(*BY_ADMIN, NameTaken),
)
async def create_vendor(
    transactions: RequestTransactions, principal: Administrator, new: NewVendor, response: Response
) -> Vendor:
    """Make a new vendor."""
    vendor = await transactions.write(vendors.create, new)
    tag(response, vendor)
    return vendor


@router.patch(
    "/{vendor_id}",
    response_model=VendorDetail,
    responses=TAGGED | documented(*BY_EDITOR, *VERSIONED, VendorNotFound, NameTaken),
)
async def edit_vendor(
    transactions: RequestTransactions,
    principal: Editor,
    vendor_id: UUID,
    change: VendorEdit,
    response: Response,
    if_match: IfMatch = None,
) -> Vendor:
    """Change what is named in the body, if nobody else has changed the vendor meanwhile."""
    vendor = await transactions.write(
        vendors.edit,
        vendor_id,
        change=change,
        expected=expected(if_match, principal=principal, body_version=change.version),
        principal=principal,
    )
    tag(response, vendor)
    return vendor


@router.delete(
    "/{vendor_id}",
    status_code=204,
    responses=documented(*BY_ADMIN, *VERSIONED, VendorNotFound),
)
async def archive_vendor(
    transactions: RequestTransactions,
    principal: Administrator,
    vendor_id: UUID,
    if_match: IfMatch = None,
) -> None:
    """Archive a vendor: all that it sells is taken off sale."""
    await transactions.write(
        vendors.archive, vendor_id, expected=expected(if_match, principal=principal)
    )
