"""Categories and subcategories: read by all, kept by administrators. One that is empty may go."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm import selectinload

from marketplace.catalog.edits import apply, deleted, saved
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

Sessions = async_sessionmaker[AsyncSession]


async def everything(session: AsyncSession) -> Categories:
    """There are few of them: one answer."""
    query = select(Category).options(selectinload(Category.subcategories)).order_by(Category.name)
    found = await session.scalars(query)
    return Categories(items=[CategoryWithSubcategories.model_validate(row) for row in found])


async def get(session: AsyncSession, category_id: UUID) -> Category:
    """Raises `CategoryNotFound`."""
    category = await session.get(Category, category_id)
    if category is None:
        raise CategoryNotFound(category_id=category_id)
    return category


async def get_subcategory(session: AsyncSession, subcategory_id: UUID) -> Subcategory:
    """Raises `SubcategoryNotFound`."""
    subcategory = await session.get(Subcategory, subcategory_id)
    if subcategory is None:
        raise SubcategoryNotFound(subcategory_id=subcategory_id)
    return subcategory


async def hold_subcategory(session: AsyncSession, subcategory_id: UUID) -> None:
    """It stays there until the caller has committed. Raises `SubcategoryNotFound`."""
    lock = {"read": True, "key_share": True}
    if await session.get(Subcategory, subcategory_id, with_for_update=lock) is None:
        raise SubcategoryNotFound(subcategory_id=subcategory_id)


async def create(sessions: Sessions, new: NewCategory) -> Category:
    """Raises `NameTaken`."""

    async def work(session: AsyncSession) -> Category:
        category = Category(**new.model_dump())
        session.add(category)
        return category

    return await saved(sessions, work)


async def create_subcategory(sessions: Sessions, new: NewSubcategory) -> Subcategory:
    """Raises `CategoryNotFound` or `NameTaken`."""

    async def work(session: AsyncSession) -> Subcategory:
        await _hold(session, new.category_id)
        subcategory = Subcategory(**new.model_dump())
        session.add(subcategory)
        return subcategory

    return await saved(sessions, work)


async def edit(
    sessions: Sessions, category_id: UUID, *, change: CategoryEdit, expected: Expected
) -> Category:
    """Raises `CategoryNotFound`, `VersionMismatch` or `NameTaken`."""

    async def work(session: AsyncSession) -> Category:
        category = await get(session, category_id)
        expected.require(category)
        apply(category, change)
        return category

    return await saved(sessions, work)


async def edit_subcategory(
    sessions: Sessions, subcategory_id: UUID, *, change: SubcategoryEdit, expected: Expected
) -> Subcategory:
    """Raises `SubcategoryNotFound`, `CategoryNotFound`, `VersionMismatch` or `NameTaken`."""

    async def work(session: AsyncSession) -> Subcategory:
        subcategory = await get_subcategory(session, subcategory_id)
        expected.require(subcategory)
        if change.category_id is not None:
            await _hold(session, change.category_id)
        apply(subcategory, change)
        return subcategory

    return await saved(sessions, work)


async def delete(sessions: Sessions, category_id: UUID, *, expected: Expected) -> None:
    """Raises `CategoryNotFound`, `VersionMismatch` or `StillInUse`."""

    async def work(session: AsyncSession) -> None:
        category = await get(session, category_id)
        expected.require(category)
        await session.delete(category)

    await deleted(sessions, work)


async def delete_subcategory(
    sessions: Sessions, subcategory_id: UUID, *, expected: Expected
) -> None:
    """Raises `SubcategoryNotFound`, `VersionMismatch` or `StillInUse`."""

    async def work(session: AsyncSession) -> None:
        subcategory = await get_subcategory(session, subcategory_id)
        expected.require(subcategory)
        await session.delete(subcategory)

    await deleted(sessions, work)


async def _hold(session: AsyncSession, category_id: UUID) -> None:
    lock = {"read": True, "key_share": True}
    if await session.get(Category, category_id, with_for_update=lock) is None:
        raise CategoryNotFound(category_id=category_id)
