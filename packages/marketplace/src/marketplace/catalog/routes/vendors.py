"""Vendors over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from marketplace.catalog import vendors
from marketplace.catalog.etags import TAGGED, IfMatch, expected, tag
from marketplace.catalog.principals import BY_ADMIN, BY_EDITOR, VERSIONED, Admin, Editor
from marketplace.catalog.problems import NameTaken, VendorNotFound
from marketplace.catalog.schemas import NewVendor, VendorDetail, VendorEdit, VendorPage
from marketplace.cursors import Cursors, PageRequest, cursors_of
from marketplace.database import RequestSession, Sessions
from marketplace.entities import Vendor
from marketplace.problems import InvalidCursor, InvalidRequest, documented

router = APIRouter(prefix="/vendors")


@router.get("", responses=documented(InvalidCursor, InvalidRequest))
async def list_vendors(
    session: RequestSession,
    page: Annotated[PageRequest, Query()],
    cursors: Annotated[Cursors, Depends(cursors_of("vendors"))],
) -> VendorPage:
    """Vendors by name, a page at a time."""
    return await vendors.page(session, page, cursors=cursors)


@router.get(
    "/{vendor_id}",
    response_model=VendorDetail,
    responses=TAGGED | documented(VendorNotFound, InvalidRequest),
)
async def get_vendor(session: RequestSession, vendor_id: UUID, response: Response) -> Vendor:
    """One vendor."""
    vendor = await vendors.get(session, vendor_id)
    tag(response, vendor)
    return vendor


@router.post(
    "",
    status_code=201,
    response_model=VendorDetail,
    responses=documented(*BY_ADMIN, NameTaken),
)
async def create_vendor(
    sessions: Sessions, principal: Admin, new: NewVendor, response: Response
) -> Vendor:
    """Somebody new who sells."""
    vendor = await vendors.create(sessions, new)
    tag(response, vendor)
    return vendor


@router.patch(
    "/{vendor_id}",
    response_model=VendorDetail,
    responses=TAGGED | documented(*BY_EDITOR, *VERSIONED, VendorNotFound, NameTaken),
)
async def edit_vendor(
    sessions: Sessions,
    principal: Editor,
    vendor_id: UUID,
    change: VendorEdit,
    response: Response,
    if_match: IfMatch = None,
) -> Vendor:
    """Change what is named in the body, if nobody else has changed the vendor meanwhile."""
    vendor = await vendors.edit(
        sessions,
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
    sessions: Sessions, principal: Admin, vendor_id: UUID, if_match: IfMatch = None
) -> None:
    """Take all that it sells off sale."""
    await vendors.archive(sessions, vendor_id, expected=expected(if_match, principal=principal))
