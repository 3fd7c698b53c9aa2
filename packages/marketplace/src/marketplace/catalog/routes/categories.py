"""The routes of categories and subcategories."""

from uuid import UUID

from fastapi import Response

from marketplace.accounts.principal import Administrator
from marketplace.catalog.etags import TAGGED, IfMatch, expected, tag
from marketplace.catalog.problems import (
    BY_ADMIN,
    VERSIONED,
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
from marketplace.catalog.service import categories
from marketplace.database import RequestTransactions
from marketplace.entities import Category, Subcategory
from marketplace.problems import InvalidRequest, api_router, documented

router = api_router(tags=["catalogue"])


@router.get("/categories")
async def list_categories(transactions: RequestTransactions) -> Categories:
    """List every category with its subcategories, by name."""
    return await transactions.read_page(categories.everything)


@router.get(
    "/categories/{category_id}",
    response_model=CategoryDetail,
    responses=TAGGED | documented(CategoryNotFound, InvalidRequest),
)
async def get_category(
    transactions: RequestTransactions, category_id: UUID, response: Response
) -> Category:
    """Get one category, without its subcategories."""
    category = await transactions.read(categories.get, category_id)
    tag(response, category)
    return category


@router.post(
    "/categories",
    status_code=201,
    response_model=CategoryDetail,
    responses=documented(*BY_ADMIN, NameTaken),
)
async def create_category(
    transactions: RequestTransactions,
    principal: Administrator,
    new: NewCategory,
    response: Response,
) -> Category:
    """Make a new category."""
    category = await transactions.write(categories.create, new)
    tag(response, category)
    return category


@router.patch(
    "/categories/{category_id}",
    response_model=CategoryDetail,
    responses=TAGGED | documented(*BY_ADMIN, *VERSIONED, CategoryNotFound, NameTaken),
)
async def edit_category(
    transactions: RequestTransactions,
    principal: Administrator,
    category_id: UUID,
    change: CategoryEdit,
    response: Response,
    if_match: IfMatch = None,
) -> Category:
    """Rename a category."""
    category = await transactions.write(
        categories.edit,
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
    transactions: RequestTransactions,
    principal: Administrator,
    category_id: UUID,
    if_match: IfMatch = None,
) -> None:
    """Delete a category that has no subcategories."""
    await transactions.write(
        categories.delete, category_id, expected=expected(if_match, principal=principal)
    )


@router.get(
    "/subcategories/{subcategory_id}",
    response_model=SubcategoryDetail,
    responses=TAGGED | documented(SubcategoryNotFound, InvalidRequest),
)
async def get_subcategory(
    transactions: RequestTransactions, subcategory_id: UUID, response: Response
) -> Subcategory:
    """Get one subcategory, with the category that it is in."""
    subcategory = await transactions.read(categories.get_subcategory, subcategory_id)
    tag(response, subcategory)
    return subcategory


@router.post(
    "/subcategories",
    status_code=201,
    response_model=SubcategoryDetail,
    responses=documented(*BY_ADMIN, CategoryNotFound, NameTaken),
)
async def create_subcategory(
    transactions: RequestTransactions,
    principal: Administrator,
    new: NewSubcategory,
    response: Response,
) -> Subcategory:
    """Make a new subcategory in a category."""
    subcategory = await transactions.write(categories.create_subcategory, new)
    tag(response, subcategory)
    return subcategory


@router.patch(
    "/subcategories/{subcategory_id}",
    response_model=SubcategoryDetail,
    responses=TAGGED
    | documented(*BY_ADMIN, *VERSIONED, SubcategoryNotFound, CategoryNotFound, NameTaken),
)
async def edit_subcategory(
    transactions: RequestTransactions,
    principal: Administrator,
    subcategory_id: UUID,
    change: SubcategoryEdit,
    response: Response,
    if_match: IfMatch = None,
) -> Subcategory:
    """Rename a subcategory, or move it to another category."""
    subcategory = await transactions.write(
        categories.edit_subcategory,
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
    transactions: RequestTransactions,
    principal: Administrator,
    subcategory_id: UUID,
    if_match: IfMatch = None,
) -> None:
    """Delete a subcategory that has no products, not even archived ones."""
    await transactions.write(
        categories.delete_subcategory,
        subcategory_id,
        expected=expected(if_match, principal=principal),
    )
