"""The way from a request to the database: the engine and the session of a request."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, Request
from psycopg import AsyncConnection
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

Connection = AsyncConnection[tuple[Any, ...]]


def open_engine(url: URL) -> AsyncEngine:
    """At most 20 connections, of which 5 stay."""
    return create_async_engine(
        url,
        pool_size=5,
        max_overflow=15,
        pool_timeout=5,
        pool_pre_ping=True,
        hide_parameters=True,  # an error that is logged must not hold what a user typed
        connect_args={"connect_timeout": 5},
    )


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

    Each statement is a transaction of its own and one way to the server and back.
    """
    async with engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        proxied = await connection.get_raw_connection()
        driver = proxied.driver_connection
        assert isinstance(driver, AsyncConnection)  # noqa: S101  # the URL says psycopg
        yield driver
