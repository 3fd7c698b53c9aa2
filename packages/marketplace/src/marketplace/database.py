"""The way from a request to the database: the engine and the session of a request."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request
from psycopg import AsyncConnection
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from holdfast import Profile, create_async_engine
from holdfast import Settings as DatabaseSettings
from holdfast.engine.pool.sized import AsyncSizedPool

Connection = AsyncConnection[tuple[Any, ...]]


def database_settings(url: URL, *, profile: Profile) -> DatabaseSettings:
    """What holdfast is told: HOLDFAST_POOL_MAX and its sisters from the environment, this from us."""
    return DatabaseSettings(
        profile=profile,
        url=url.render_as_string(hide_password=False),
        application_name="marketplace",
        migrations="marketplace:migrations",
    )


def open_engine(url: URL) -> AsyncEngine:
    """For a demonstration or a test: the same engine, without what a start does."""
    return create_async_engine(database_settings(url, profile=Profile.TEST))


def sessions_of(engine: AsyncEngine) -> async_sessionmaker[AsyncSession]:
    """What was read stays readable after the commit: the answer is built from it."""
    return async_sessionmaker(engine, expire_on_commit=False)


async def session_of(request: Request) -> AsyncIterator[AsyncSession]:
    """One session for one request; what is not committed is rolled back."""
    async with request.app.state.sessions() as session:
        yield session


RequestSession = Annotated[AsyncSession, Depends(session_of)]


@asynccontextmanager
async def driver_connection(engine: AsyncEngine) -> AsyncIterator[Connection]:
    """psycopg's own connection, from the pool, in autocommit: for the few hot paths.

    Each statement is a transaction of its own, and one way to the server and back. A connection on
    which something failed is not given back: a request that is cancelled leaves it in any state.
    """
    async with _pool_of(engine).lend() as driver:
        await driver.set_autocommit(True)
        yield driver
        await driver.set_autocommit(False)


@dataclass(frozen=True, slots=True)
class DriverTransactions:
    """Transactions on psycopg's own connections, from the pool: what an ORM session costs is left out."""

    engine: AsyncEngine

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Connection]:
        """Commits, or rolls back; a connection that could do neither is not given back."""
        async with _pool_of(self.engine).lend() as driver:
            try:
                yield driver
            except Exception:
                await driver.rollback()
                raise
            await driver.commit()


def _pool_of(engine: AsyncEngine) -> AsyncSizedPool:
    pool = engine.sync_engine.pool
    assert isinstance(pool, AsyncSizedPool)  # noqa: S101  # the engines of holdfast have it
    return pool


async def driver_of(session: AsyncSession) -> Connection:
    """psycopg's own connection in the transaction of a session: commit and roll back the session."""
    proxied = await (await session.connection()).get_raw_connection()
    driver = proxied.driver_connection
    assert isinstance(driver, AsyncConnection)  # noqa: S101  # the URL says psycopg
    return driver


def sessions_of_app(request: Request) -> async_sessionmaker[AsyncSession]:
    """For a unit of work that may have to begin again: each attempt has a session of its own."""
    sessions: async_sessionmaker[AsyncSession] = request.app.state.sessions
    return sessions


def engine_of(request: Request) -> AsyncEngine:
    """For the few hot paths, which need no session."""
    engine: AsyncEngine = request.app.state.engine
    return engine


Sessions = Annotated[async_sessionmaker[AsyncSession], Depends(sessions_of_app)]
RequestEngine = Annotated[AsyncEngine, Depends(engine_of)]
