"""Categories and subcategories over HTTP."""

from uuid import UUID

from fastapi import APIRouter, Response

from marketplace.catalog import categories
from marketplace.catalog.etags import TAGGED, IfMatch, expected, tag
from marketplace.catalog.principals import BY_ADMIN, VERSIONED, Admin
from marketplace.catalog.problems import (
    CategoryNotFound,
    NameTaken,
    StillInUse,
    SubcategoryNotFound,
)
from marketplace.catalog.schemas import (
    Categories,
    CategoryDetail,
    CategoryEdit,
    NewCategory,
    NewSubcategory,
    SubcategoryDetail,
    SubcategoryEdit,
)
from marketplace.database import RequestSession, Sessions
from marketplace.entities import Category, Subcategory
from marketplace.problems import InvalidRequest, documented

router = APIRouter()


@router.get("/categories")
async def list_categories(session: RequestSession) -> Categories:
    """The whole tree."""
    return await categories.everything(session)


@router.get(
    "/categories/{category_id}",
    response_model=CategoryDetail,
    responses=TAGGED | documented(CategoryNotFound, InvalidRequest),
)
async def get_category(session: RequestSession, category_id: UUID, response: Response) -> Category:
    """One category."""
    category = await categories.get(session, category_id)
    tag(response, category)
    return category


@router.post(
    "/categories",
    status_code=201,
    response_model=CategoryDetail,
    responses=documented(*BY_ADMIN, NameTaken),
)
async def create_category(
    sessions: Sessions, principal: Admin, new: NewCategory, response: Response
) -> Category:
    """A new category."""
    category = await categories.create(sessions, new)
    tag(response, category)
    return category


@router.patch(
    "/categories/{category_id}",
    response_model=CategoryDetail,
    responses=TAGGED | documented(*BY_ADMIN, *VERSIONED, CategoryNotFound, NameTaken),
)
async def edit_category(
    sessions: Sessions,
    principal: Admin,
    category_id: UUID,
    change: CategoryEdit,
    response: Response,
    if_match: IfMatch = None,
) -> Category:
    """Rename it."""
    category = await categories.edit(
        sessions,
        category_id,
        change=change,
        expected=expected(if_match, principal=principal, body_version=change.version),
    )
    tag(response, category)
    return category


@router.delete(
    "/categories/{category_id}",
    status_code=204,
    responses=documented(*BY_ADMIN, *VERSIONED, CategoryNotFound, StillInUse),
)
async def delete_category(
    sessions: Sessions, principal: Admin, category_id: UUID, if_match: IfMatch = None
) -> None:
    """Only one without subcategories."""
    await categories.delete(sessions, category_id, expected=expected(if_match, principal=principal))


@router.get(
    "/subcategories/{subcategory_id}",
    response_model=SubcategoryDetail,
    responses=TAGGED | documented(SubcategoryNotFound, InvalidRequest),
)
async def get_subcategory(
    session: RequestSession, subcategory_id: UUID, response: Response
) -> Subcategory:
    """One subcategory."""
    subcategory = await categories.get_subcategory(session, subcategory_id)
    tag(response, subcategory)
    return subcategory


@router.post(
    "/subcategories",
    status_code=201,
    response_model=SubcategoryDetail,
    responses=documented(*BY_ADMIN, CategoryNotFound, NameTaken),
)
async def create_subcategory(
    sessions: Sessions, principal: Admin, new: NewSubcategory, response: Response
) -> Subcategory:
    """A new subcategory."""
    subcategory = await categories.create_subcategory(sessions, new)
    tag(response, subcategory)
    return subcategory


@router.patch(
    "/subcategories/{subcategory_id}",
    response_model=SubcategoryDetail,
    responses=TAGGED
    | documented(*BY_ADMIN, *VERSIONED, SubcategoryNotFound, CategoryNotFound, NameTaken),
)
async def edit_subcategory(
    sessions: Sessions,
    principal: Admin,
    subcategory_id: UUID,
    change: SubcategoryEdit,
    response: Response,
    if_match: IfMatch = None,
) -> Subcategory:
    """Rename it, or move it to another category."""
    subcategory = await categories.edit_subcategory(
        sessions,
        subcategory_id,
        change=change,
        expected=expected(if_match, principal=principal, body_version=change.version),
    )
    tag(response, subcategory)
    return subcategory


@router.delete(
    "/subcategories/{subcategory_id}",
    status_code=204,
    responses=documented(*BY_ADMIN, *VERSIONED, SubcategoryNotFound, StillInUse),
)
async def delete_subcategory(
    sessions: Sessions, principal: Admin, subcategory_id: UUID, if_match: IfMatch = None
) -> None:
    """Only one without products, archived ones included."""
    await categories.delete_subcategory(
        sessions, subcategory_id, expected=expected(if_match, principal=principal)
    )
