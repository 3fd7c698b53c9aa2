"""The database object of an application: engine, sessions, start, stop, health; for threads and for an event loop.

Every option of SQLAlchemy's create_engine may be added, and `metrics`: where else the pool is counted.
What they do is said once, elsewhere (`start_up`, `engine`, the pool); the two differ in how they wait.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from threading import Event
from typing import Any, TypeVar

from sqlalchemy import Engine, MetaData
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.util.concurrency import greenlet_spawn

from holdfast.application.health import Health, look, look_async
from holdfast.application.reading import IS_FRESH, NO_ANSWER, WRITTEN, Standbys, leaves
from holdfast.application.start_up import prepare
from holdfast.engine.create_engine import create_async_engine, create_engine
from holdfast.engine.pool.sized import AsyncSizedPool, SizedPool
from holdfast.engine.settings import Settings

Result = TypeVar("Result")
# Each statement commits itself: there is nothing to commit, and returning a connection needs no round trip.
READ_ONLY = {"isolation_level": "AUTOCOMMIT"}


class Database:
    """A database for synchronous code. `metadata` is only needed where synchronisation is switched on."""

    def __init__(
        self, settings: Settings, *, metadata: MetaData | None = None, **options: Any
    ) -> None:
        self.settings, self.metadata = settings, metadata
        self.engine: Engine = create_engine(settings, **options)
        self.sessions = sessionmaker(self.engine)
        self.standbys = Standbys(settings.read_lag)
        of_standbys = settings.for_reading()
        self.reading_engine = (
            None if of_standbys is None else create_engine(of_standbys, **{**options, **READ_ONLY})
        )
        self.has_started = False

    def start(self) -> None:
        """Prepare the database before the first request: migrations by the setting, synchronisation, the pool."""
        prepare(self.settings, metadata=self.metadata, stop=Event())
        _sized(self.engine).prewarm()
        self.has_started = True

    def stop(self, *, close: bool = True) -> None:
        """Close the pool after the last request; a connection that is still being opened is closed when it arrives.

        `close=False` leaves the connections to another process, as in SQLAlchemy's dispose. Not needed after os.fork: a
        child leaves its parent's connections alone by itself.
        """
        for engine in filter(None, (self.engine, self.reading_engine)):
            if not close:
                _sized(engine).leave()
            engine.dispose(close=close)

    def written(self) -> str:
        """Give the position in the WAL of everything committed so far, to pass to `reading(after=...)`."""
        with self.engine.connect() as connection:
            return str(connection.execute(WRITTEN).scalar_one())

    @contextmanager
    def reading(self, *, after: str | None = None) -> Iterator[Session]:
        """Give a session that only reads: on a standby (HOLDFAST_READ_URL) that has `after`, else on the primary."""
        session = self._on_standby(after)
        with self.sessions() if session is None else session as found:
            yield found

    def read(self, work: Callable[[Session], Result], *, after: str | None = None) -> Result:
        """Call `work` in a reading session; again on the primary if the standby becomes unavailable meanwhile."""
        session = self._on_standby(after)
        if session is not None:
            try:
                with session:
                    return work(session)
            except Exception as error:
                if not leaves(error):
                    raise
        with self.sessions() as session:
            return work(session)

    def _on_standby(self, after: str | None) -> Session | None:
        if self.reading_engine is None or not self.standbys.may_have(after):
            return None
        session = Session(self.reading_engine)
        try:
            if session.execute(IS_FRESH, self.standbys.question(after)).scalar_one():
                return session
        except NO_ANSWER as error:
            self.standbys.note(error)
        except BaseException:  # interrupted: the connection goes back
            session.close()
            raise
        session.close()
        return None

    def health(self) -> Health:
        """Ask the server through the pool; while `start` still waits in another thread, say for what.

        Answers within the pool's timeout and 250 ms, and never raises: what is wrong is its `problem`.
        """
        limit = self.settings.pool.timeout
        problem = look(self.engine, has_started=self.has_started, within=limit)
        return _health(self.engine, problem)


class AsyncDatabase:
    """A database for an event loop, which it never blocks."""

    def __init__(
        self, settings: Settings, *, metadata: MetaData | None = None, **options: Any
    ) -> None:
        self.settings, self.metadata = settings, metadata
        self.engine: AsyncEngine = create_async_engine(settings, **options)
        # Expired attributes would be loaded on access, which cannot wait in an event loop.
        self.sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self.standbys = Standbys(settings.read_lag)
        of_standbys = settings.for_reading()
        self.reading_engine = (
            None
            if of_standbys is None
            else create_async_engine(of_standbys, **{**options, **READ_ONLY})
        )
        self.has_started = False

    async def start(self) -> None:
        """Prepare the database as `Database.start` does; cancelling it also ends a wait for another migrator."""
        stop = Event()
        try:
            await asyncio.to_thread(prepare, self.settings, metadata=self.metadata, stop=stop)
        finally:
            stop.set()
        await greenlet_spawn(_sized(self.engine.sync_engine).prewarm)
        self.has_started = True

    async def stop(self, *, close: bool = True) -> None:
        """Close the connections of the engines, as `Database.stop` does."""
        for engine in filter(None, (self.engine, self.reading_engine)):
            if not close:
                _sized(engine.sync_engine).leave()
            await engine.dispose(close=close)

    async def written(self) -> str:
        """Give the position up to which the primary has written, as `Database.written` does."""
        async with self.engine.connect() as connection:
            return str((await connection.execute(WRITTEN)).scalar_one())

    @asynccontextmanager
    async def reading(self, *, after: str | None = None) -> AsyncIterator[AsyncSession]:
        """Give a session that may read from a standby, as `Database.reading` does."""
        session = await self._on_standby(after)
        async with self.sessions() if session is None else session as found:
            yield found

    async def read(
        self, work: Callable[[AsyncSession], Awaitable[Result]], *, after: str | None = None
    ) -> Result:
        """Do work that reads, on a standby where one will do, as `Database.read` does."""
        session = await self._on_standby(after)
        if session is not None:
            try:
                async with session:
                    return await work(session)
            except Exception as error:
                if not leaves(error):
                    raise
        async with self.sessions() as session:
            return await work(session)

    async def _on_standby(self, after: str | None) -> AsyncSession | None:
        if self.reading_engine is None or not self.standbys.may_have(after):
            return None
        session = AsyncSession(self.reading_engine, expire_on_commit=False)
        try:
            found = await session.execute(IS_FRESH, self.standbys.question(after))
            if found.scalar_one():
                return session
        except NO_ANSWER as error:
            self.standbys.note(error)
        except BaseException:  # cancelled: the connection goes back
            await session.close()
            raise
        await session.close()
        return None

    async def health(self) -> Health:
        """Ask the server as `Database.health` does; `start` may wait in a task of its own."""
        limit = self.settings.pool.timeout
        problem = await look_async(self.engine, has_started=self.has_started, within=limit)
        return _health(self.engine.sync_engine, problem)


def _sized(engine: Engine) -> SizedPool | AsyncSizedPool:
    pool = engine.pool
    assert isinstance(pool, SizedPool | AsyncSizedPool)  # noqa: S101  # made by our engine
    return pool


def _health(engine: Engine, problem: str | None) -> Health:
    return Health(is_ready=problem is None, problem=problem, pool=_sized(engine).figures())
