"""The way from a request to the database: the engine, and the transactions that run on it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Concatenate, ParamSpec, Self, TypeVar

import psycopg
from fastapi import Depends, Request
from psycopg import AsyncConnection
from sqlalchemy import URL, Engine, NullPool
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from holdfast import AsyncDatabase, Profile, create_async_engine, create_engine, run_unit_async
from holdfast import Settings as DatabaseSettings
from holdfast.application.own_writes import note_write, position_to_read
from holdfast.engine.pool.sized import AsyncSizedPool
from marketplace.bulkhead import Bulkhead
from marketplace.placement import Placement
from marketplace.problems import Overloaded
from marketplace.trouble import is_locked_out

Connection = AsyncConnection[tuple[Any, ...]]
PLACEMENT = "placement"  # what an ORM session knows of its database
P = ParamSpec("P")
T = TypeVar("T")


def database_settings(url: URL, *, profile: Profile, **others: Any) -> DatabaseSettings:
    """Give the settings of the database: HOLDFAST_POOL_MAX and its sisters from the environment, these from us.

    Every engine of the marketplace is made from them, so each connection has the same TLS, the same ways to
    prove who it is, and the same timeouts, whichever process opens it.
    """
    return DatabaseSettings(
        profile=profile,
        url=url.render_as_string(hide_password=False),
        application_name="marketplace",
        migrations="marketplace:migrations",
        **others,
    )


def command_settings(url: URL, *, profile: Profile) -> DatabaseSettings:
    """Give the same settings for a short command: no migrations, few connections."""
    return database_settings(
        url, profile=profile, migrate_on_start="off", pool={"min": 1, "max": 2}
    )


def open_engine(url: URL) -> AsyncEngine:
    """Open the same engine for a demonstration or a test, without the checks of a start."""
    return create_async_engine(database_settings(url, profile=Profile.TEST))


def open_short_engine(url: URL, *, profile: Profile, **options: Any) -> Engine:
    """Open an engine without a pool, for a few statements at once."""
    return create_engine(database_settings(url, profile=profile), poolclass=NullPool, **options)


def sessions_of(
    engine: AsyncEngine, *, placement: Placement = Placement.ONE_SERVER
) -> async_sessionmaker[AsyncSession]:
    """Make the ORM sessions of an engine; what was read stays readable after the commit, for the answer."""
    return async_sessionmaker(engine, expire_on_commit=False, info={PLACEMENT: placement})


def placement_of(session: AsyncSession) -> Placement:
    """Say where the rows are that a session reads and writes."""
    placement: Placement = session.info.get(PLACEMENT, Placement.ONE_SERVER)
    return placement


@asynccontextmanager
async def driver_connection(engine: AsyncEngine) -> AsyncIterator[Connection]:
    """Take psycopg's own connection from the pool, in autocommit: for the few hot paths.

    Each statement is a transaction of its own, and one way to the server and back. A connection on
    which something failed is not given back: a request that is cancelled leaves it in any state.
    """
    async with _pool_of(engine).lend_as_it_is() as driver:
        await driver.set_autocommit(True)
        yield driver
        await driver.set_autocommit(False)


@dataclass(frozen=True, slots=True)
class DriverTransactions:
    """Transactions on psycopg's own connections from the pool, without the cost of an ORM session."""

    engine: AsyncEngine

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Connection]:
        """Begin a transaction that commits or rolls back; a connection that could do neither is closed."""
        async with _pool_of(self.engine).lend_as_it_is() as driver:
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
    """Give psycopg's own connection in a session's transaction: commit and roll back by the session."""
    proxied = await (await session.connection()).get_raw_connection()
    driver = proxied.driver_connection
    assert isinstance(driver, AsyncConnection)  # noqa: S101  # the URL says psycopg
    return driver


@dataclass(frozen=True, slots=True)
class Transactions:
    """The one edge between requests and the database: work runs in a transaction, which is committed here.

    When `read` or `write` returns, the transaction is over and its connection is back in the pool. A route
    has no other way to the database, so no connection is held while an answer is written to a client.
    """

    engine: AsyncEngine
    sessions: async_sessionmaker[AsyncSession]
    bulkhead: Bulkhead
    database: AsyncDatabase | None = None  # where it has standbys to read from
    placement: Placement = Placement.ONE_SERVER

    @classmethod
    def on(
        cls,
        engine: AsyncEngine,
        *,
        database: AsyncDatabase | None = None,
        placement: Placement = Placement.ONE_SERVER,
    ) -> Self:
        """Make the transactions of one engine; pages are read from the standbys of `database`, if it has any."""
        has_standbys = database is not None and database.reading_engine is not None
        return cls(
            engine,
            sessions_of(engine, placement=placement),
            Bulkhead(_pool_of(engine).limits.max),
            database if has_standbys else None,
            placement,
        )

    async def read_page(
        self,
        work: Callable[Concatenate[AsyncSession, P], Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Read as `read` does, perhaps on a standby: never older than the client's own last write."""
        if self.database is None:
            return await self.read(work, *args, **kwargs)

        async def unit(session: AsyncSession) -> T:
            return await work(session, *args, **kwargs)

        return await self.database.read(unit, after=position_to_read())

    async def read_page_on_driver(
        self,
        work: Callable[Concatenate[Connection, P], Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Read as `read_on_driver` does, perhaps on a standby."""
        if self.database is None:
            return await self.read_on_driver(work, *args, **kwargs)

        async def unit(session: AsyncSession) -> T:
            return await work(await driver_of(session), *args, **kwargs)

        return await self.database.read(unit, after=position_to_read())

    async def read(
        self,
        work: Callable[Concatenate[AsyncSession, P], Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run `work(session, ...)`, which changes and locks nothing, and give its result."""
        async with self.sessions() as session:
            return await work(session, *args, **kwargs)

    async def read_on_driver(
        self,
        work: Callable[Concatenate[Connection, P], Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run `work(connection, ...)` for one statement, without the cost of an ORM session."""
        async with driver_connection(self.engine) as connection:
            return await work(connection, *args, **kwargs)

    async def write(
        self,
        work: Callable[Concatenate[AsyncSession, P], Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run `work(session, ...)`, commit, and give its result; a lost race runs all of it again."""

        async def unit(session: AsyncSession) -> T:
            with _refusing_to_wait_again():
                return await work(session, *args, **kwargs)

        async with self.bulkhead.place(_name_of(work)):
            done = await run_unit_async(unit, sessions=self.sessions)
        note_write()
        return done

    async def write_on_driver(
        self,
        work: Callable[Concatenate[Connection, P], Awaitable[T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run `work(connection, ...)` as `write` does, without the cost of an ORM session."""

        async def unit(connection: Connection) -> T:
            with _refusing_to_wait_again():
                return await work(connection, *args, **kwargs)

        async with self.bulkhead.place(_name_of(work)):
            done = await run_unit_async(unit, sessions=DriverTransactions(self.engine))
        note_write()
        return done

    @asynccontextmanager
    async def statements(self, kind: str) -> AsyncIterator[Connection]:
        """Give a connection on which each statement is a write of its own, committed as it returns."""
        async with self.bulkhead.place(kind), driver_connection(self.engine) as connection:
            yield connection
        note_write()


def _name_of(work: Callable[..., object]) -> str:
    return f"{work.__module__}.{work.__qualname__}"


@contextmanager
def _refusing_to_wait_again() -> Iterator[None]:
    """Tell the client at once of a lock that was held for our whole wait: it would be the next time, too."""
    try:
        yield
    except (DBAPIError, psycopg.Error) as error:
        if is_locked_out(error):
            raise Overloaded from error
        raise


async def transactions_of(request: Request) -> Transactions:
    """Give the transactions of the application that answers the request."""
    transactions: Transactions = request.app.state.transactions
    return transactions


RequestTransactions = Annotated[Transactions, Depends(transactions_of)]
