"""What the sized pool costs: checkout, `SELECT 1`, return; beside raw psycopg and the usual recipes.

On an embedded server, one client. Rounds are interleaved and the minimum per way counts: on a shared machine
only ratios are worth reading. Last line: `pool: sync=… async=… (times QueuePool)`.
"""

import asyncio
import gc
import sys
import time
from collections.abc import Awaitable, Callable

import psycopg
import psycopg_pool
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, NullPool, QueuePool

from holdfast.engine.create_engine import create_async_engine as sized_async_engine
from holdfast.engine.create_engine import create_engine as sized_engine
from holdfast.engine.profiles import Profile, SqlLog
from holdfast.engine.settings import Settings
from holdfast.scratch.server import temporary_server

ROUNDS, REQUESTS = 25, 400
ONE = sa.text("SELECT 1")
Request = Callable[[], None]
AsyncRequest = Callable[[], Awaitable[None]]


def on_engine(engine: sa.Engine) -> Request:
    def request() -> None:
        with engine.connect() as connection:
            connection.scalar(ONE)

    return request


def on_async_engine(engine: sa.ext.asyncio.AsyncEngine) -> AsyncRequest:
    async def request() -> None:
        async with engine.connect() as connection:
            await connection.scalar(ONE)

    return request


def sync_ways(url: str, settings: Settings) -> dict[str, Request]:
    raw = psycopg.connect(url)
    bridged = psycopg_pool.ConnectionPool(url, min_size=5, max_size=20, close_returns=True)
    bridged.wait()

    def on_raw() -> None:
        raw.execute("SELECT 1").fetchone()
        raw.rollback()

    def queue_pool(**options: object) -> sa.Engine:
        return sa.create_engine(
            settings.url, poolclass=QueuePool, pool_size=20, max_overflow=0, **options
        )

    return {
        "raw psycopg, one connection": on_raw,
        "QueuePool": on_engine(queue_pool()),
        "QueuePool, pre_ping": on_engine(queue_pool(pool_pre_ping=True)),
        "psycopg_pool behind NullPool": on_engine(
            sa.create_engine(settings.url, poolclass=NullPool, creator=bridged.getconn)
        ),
        "SizedPool": on_engine(sized_engine(settings)),
    }


async def async_ways(url: str, settings: Settings) -> dict[str, AsyncRequest]:
    raw = await psycopg.AsyncConnection.connect(url)
    bridged = psycopg_pool.AsyncConnectionPool(
        url, min_size=5, max_size=20, close_returns=True, open=False
    )
    await bridged.open(wait=True)

    async def on_raw() -> None:
        cursor = await raw.execute("SELECT 1")
        await cursor.fetchone()
        await raw.rollback()

    def queue_pool(**options: object) -> sa.ext.asyncio.AsyncEngine:
        return create_async_engine(
            settings.url, poolclass=AsyncAdaptedQueuePool, pool_size=20, max_overflow=0, **options
        )

    return {
        "raw psycopg, one connection": on_raw,
        "QueuePool": on_async_engine(queue_pool()),
        "QueuePool, pre_ping": on_async_engine(queue_pool(pool_pre_ping=True)),
        "psycopg_pool behind NullPool": on_async_engine(
            create_async_engine(settings.url, poolclass=NullPool, async_creator=bridged.getconn)
        ),
        "SizedPool": on_async_engine(sized_async_engine(settings)),
    }


def best_sync(ways: dict[str, Request]) -> dict[str, float]:
    """Seconds per request of the fastest round."""
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(ROUNDS):
        for name, request in ways.items():
            started = time.perf_counter()
            for _ in range(REQUESTS):
                request()
            best[name] = min(best[name], (time.perf_counter() - started) / REQUESTS)
    return best


async def best_async(url: str, settings: Settings) -> dict[str, float]:
    ways = await async_ways(url, settings)
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(ROUNDS):
        for name, request in ways.items():
            started = time.perf_counter()
            for _ in range(REQUESTS):
                await request()
            best[name] = min(best[name], (time.perf_counter() - started) / REQUESTS)
    return best


def print_table(title: str, best: dict[str, float]) -> float:
    print(f"{title:<32}{'µs':>8}{'x QueuePool':>14}")
    for name, seconds in best.items():
        print(f"  {name:<30}{seconds * 1e6:>8.1f}{seconds / best['QueuePool']:>14.2f}")
    return best["SizedPool"] / best["QueuePool"]


def main() -> int:
    with temporary_server() as server:
        settings = Settings(profile=Profile.DEVELOPMENT, url=server.url(), log_sql=SqlLog.OFF)
        gc.freeze()
        sync = print_table("sync", best_sync(sync_ways(server.url(), settings)))
        in_loop = print_table("async", asyncio.run(best_async(server.url(), settings)))
    print(f"pool: sync={sync:.2f} async={in_loop:.2f} (times QueuePool)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
