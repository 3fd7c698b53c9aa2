"""Categories and subcategories: read by all, kept by administrators. Empty ones may be deleted."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from marketplace.catalog import queries
from marketplace.catalog.edits import apply, save
from marketplace.catalog.edits import delete as delete_row
from marketplace.catalog.etags import Expected
from marketplace.catalog.problems import CategoryNotFound, SubcategoryNotFound
from marketplace.catalog.schemas import (
    Categories,
    CategoryEdit,
    CategoryWithSubcategories,
    NewCategory,
    NewSubcategory,
    SubcategoryEdit,
)
from marketplace.entities import Category, Subcategory


async def everything(session: AsyncSession) -> Categories:
    """Give all categories in one answer: there are few."""
    found = await session.scalars(queries.category_tree())
    return Categories(items=[CategoryWithSubcategories.model_validate(row) for row in found])


async def get(session: AsyncSession, category_id: UUID) -> Category:
    """Give the category with this id. Raises `CategoryNotFound`."""
    category = await session.get(Category, category_id)
    if category is None:
        raise CategoryNotFound(category_id=category_id)
    return category


async def get_subcategory(session: AsyncSession, subcategory_id: UUID) -> Subcategory:
    """Give the subcategory with this id. Raises `SubcategoryNotFound`."""
    subcategory = await session.get(Subcategory, subcategory_id)
    if subcategory is None:
        raise SubcategoryNotFound(subcategory_id=subcategory_id)
    return subcategory


async def hold_subcategory(session: AsyncSession, subcategory_id: UUID) -> None:
    """Lock a subcategory, so that it stays until the caller has committed. Raises `SubcategoryNotFound`."""
    lock = {"read": True, "key_share": True}
    if await session.get(Subcategory, subcategory_id, with_for_update=lock) is None:
        raise SubcategoryNotFound(subcategory_id=subcategory_id)


async def create(session: AsyncSession, new: NewCategory) -> Category:
    """Make a category. Raises `NameTaken`."""
    category = Category(**new.model_dump())
    session.add(category)
    await save(session)
    return category


async def create_subcategory(session: AsyncSession, new: NewSubcategory) -> Subcategory:
    """Make a subcategory. Raises `CategoryNotFound` or `NameTaken`."""
    await _hold(session, new.category_id)
    subcategory = Subcategory(**new.model_dump())
    session.add(subcategory)
    await save(session)
    return subcategory


async def edit(
    session: AsyncSession, category_id: UUID, *, change: CategoryEdit, expected: Expected
) -> Category:
    """Rename a category. Raises `CategoryNotFound`, `VersionMismatch` or `NameTaken`."""
    category = await get(session, category_id)
    expected.require(category)
    apply(category, change)
    await save(session)
    return category


async def edit_subcategory(
    session: AsyncSession, subcategory_id: UUID, *, change: SubcategoryEdit, expected: Expected
) -> Subcategory:
    """Rename or move a subcategory.

    Raises `SubcategoryNotFound`, `CategoryNotFound`, `VersionMismatch` or `NameTaken`.
    """
    subcategory = await get_subcategory(session, subcategory_id)
    expected.require(subcategory)
    if change.category_id is not None:
        await _hold(session, change.category_id)
    apply(subcategory, change)
    await save(session)
    return subcategory


async def delete(session: AsyncSession, category_id: UUID, *, expected: Expected) -> None:
    """Delete an empty category. Raises `CategoryNotFound`, `VersionMismatch` or `StillInUse`."""
    category = await get(session, category_id)
    expected.require(category)
    await delete_row(session, category)


async def delete_subcategory(
    session: AsyncSession, subcategory_id: UUID, *, expected: Expected
) -> None:
    """Delete an empty subcategory. Raises `SubcategoryNotFound`, `VersionMismatch` or `StillInUse`."""
    subcategory = await get_subcategory(session, subcategory_id)
    expected.require(subcategory)
    await delete_row(session, subcategory)


async def _hold(session: AsyncSession, category_id: UUID) -> None:
    lock = {"read": True, "key_share": True}
    if await session.get(Category, category_id, with_for_update=lock) is None:
        raise CategoryNotFound(category_id=category_id)
