"""What a user of the public names writes, checked by mypy --strict as his code would be; nothing here runs."""

from typing import assert_type

from alembic.config import Config
from sqlalchemy import Engine, MetaData
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

import holdfast
from holdfast import (
    AsyncDatabase,
    Database,
    HoldfastError,
    Profile,
    Settings,
    Versioned,
    create_async_engine,
    create_engine,
    create_migration_engine,
    downgrade,
    run_unit,
    run_unit_async,
    upgrade,
)


class Base(DeclarativeBase):
    """The models of an application."""


class Product(Versioned, Base):
    """A row whose stale edit is refused."""

    __tablename__ = "products"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


def rename(session: Session, name: str) -> Product:
    """A unit of work, as run_unit takes it."""
    product = session.get_one(Product, 1)
    product.name = name
    return product


async def rename_async(session: AsyncSession, name: str) -> Product:
    """The same for an event loop."""
    product = await session.get_one(Product, 1)
    product.name = name
    return product


def synchronous(metadata: MetaData) -> None:
    """A program with threads."""
    settings = Settings(profile=Profile.TEST, url="postgresql://app@db.example.com/shop")
    assert_type(create_engine(settings), Engine)
    assert_type(create_migration_engine(settings), Engine)
    database = Database(settings, metadata=metadata)
    assert_type(database.sessions, sessionmaker[Session])
    database.start()
    assert_type(database.health().is_ready, bool)
    database.stop()


async def asynchronous() -> None:
    """A program with an event loop."""
    settings = Settings()
    assert_type(create_async_engine(settings), AsyncEngine)
    database = AsyncDatabase(settings)
    assert_type(database.sessions, async_sessionmaker[AsyncSession])
    await database.start()
    await database.stop()


def migrations(config: Config) -> str:
    """What a program calls that migrates in process."""
    try:
        upgrade(config, "head")
        downgrade(config, "-1")
        holdfast.upgrade(config, "heads")
    except HoldfastError as error:
        return str(error)
    return ""


_ = (run_unit, run_unit_async)
