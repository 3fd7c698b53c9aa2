"""The database of an application: engine, sessions, start, stop, health. One for threads, one for an event loop.

Every option of SQLAlchemy's create_engine may be added, and `metrics`: where else the pool is counted.
What they do is said once, elsewhere (`start_up`, `engine`, the pool); the two differ in how they wait.
"""

import asyncio
from threading import Event
from typing import Any

from sqlalchemy import Engine, MetaData
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker
from sqlalchemy.orm import sessionmaker
from sqlalchemy.util.concurrency import greenlet_spawn

from holdfast.application.health import Health, look, look_async
from holdfast.application.start_up import prepare
from holdfast.engine.create_engine import create_async_engine, create_engine
from holdfast.engine.pool.sized import AsyncSizedPool, SizedPool
from holdfast.engine.settings import Settings


class Database:
    """For synchronous code. `metadata` is only needed where synchronisation is switched on."""

    def __init__(
        self, settings: Settings, *, metadata: MetaData | None = None, **options: Any
    ) -> None:
        self.settings, self.metadata = settings, metadata
        self.engine: Engine = create_engine(settings, **options)
        self.sessions = sessionmaker(self.engine)
        self.has_started = False

    def start(self) -> None:
        """Before the first request: migrations by the setting, synchronisation where allowed, the pool."""
        prepare(self.settings, metadata=self.metadata, stop=Event())
        _sized(self.engine).prewarm()
        self.has_started = True

    def stop(self, *, close: bool = True) -> None:
        """After the last request; what is still being opened is closed when it arrives.

        `close=False` leaves the connections to another process, as in SQLAlchemy's dispose. Not needed after os.fork: a
        child leaves its parent's connections alone by itself.
        """
        if not close:
            _sized(self.engine).leave()
        self.engine.dispose(close=close)

    def health(self) -> Health:
        """Asks the server, over the pool; while `start` still waits in another thread, says for what.

        Answers within the pool's timeout and 250 ms, and never raises: what is wrong is its `problem`.
        """
        limit = self.settings.pool.timeout
        problem = look(self.engine, has_started=self.has_started, within=limit)
        return _health(self.engine, problem)


class AsyncDatabase:
    """For an event loop, which it never blocks."""

    def __init__(
        self, settings: Settings, *, metadata: MetaData | None = None, **options: Any
    ) -> None:
        self.settings, self.metadata = settings, metadata
        self.engine: AsyncEngine = create_async_engine(settings, **options)
        # Expired attributes would be loaded on access, which cannot wait in an event loop.
        self.sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self.has_started = False

    async def start(self) -> None:
        """As `Database.start`; when it is cancelled, a wait for another's migrations ends too."""
        stop = Event()
        try:
            await asyncio.to_thread(prepare, self.settings, metadata=self.metadata, stop=stop)
        finally:
            stop.set()
        await greenlet_spawn(_sized(self.engine.sync_engine).prewarm)
        self.has_started = True

    async def stop(self, *, close: bool = True) -> None:
        """As `Database.stop`."""
        if not close:
            _sized(self.engine.sync_engine).leave()
        await self.engine.dispose(close=close)

    async def health(self) -> Health:
        """As `Database.health`; `start` may wait in a task of its own."""
        limit = self.settings.pool.timeout
        problem = await look_async(self.engine, has_started=self.has_started, within=limit)
        return _health(self.engine.sync_engine, problem)


def _sized(engine: Engine) -> SizedPool | AsyncSizedPool:
    pool = engine.pool
    assert isinstance(pool, SizedPool | AsyncSizedPool)  # noqa: S101  # made by our engine
    return pool


def _health(engine: Engine, problem: str | None) -> Health:
    return Health(is_ready=problem is None, problem=problem, pool=_sized(engine).figures())
