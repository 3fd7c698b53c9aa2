"""What the sized pool costs: checkout, `SELECT 1`, return; beside raw psycopg and the usual recipes.

On an embedded server, one client; every way has the timeouts of ours, which cost the server something themselves.
In each of many short rounds every way has its turn, beginning with another one each time; a ratio
is the median of the rounds' own ratios, so that what else runs on the machine meets all of them. Two clocks: the
client's CPU time, which is all that a pool can add, and the time that passes, which on a busy machine is mostly
others'. Exit status 1 when the sized pool costs more than 1.1 QueuePools of CPU time. Last line: `pool: …`.
"""

import asyncio
import gc
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from statistics import median
from typing import NamedTuple, Self, TypeVar

import psycopg
import psycopg_pool
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, NullPool, QueuePool

from holdfast.engine.create_engine import connect_arguments, database_url
from holdfast.engine.create_engine import create_async_engine as sized_async_engine
from holdfast.engine.create_engine import create_engine as sized_engine
from holdfast.engine.profiles import Profile, SqlLog
from holdfast.engine.settings import Settings
from holdfast.scratch.server import temporary_server

ROUNDS, REQUESTS = 301, 20
ALLOWED = 1.1  # times QueuePool


class Clocks(NamedTuple):
    """Microseconds, or how many times those of another way."""

    cpu: float
    passed: float

    @classmethod
    def now(cls) -> Self:
        return cls(time.process_time() * 1e6, time.perf_counter() * 1e6)

    def since(self, began: Self) -> Self:
        """For one request."""
        cpu, passed = self.cpu - began.cpu, self.passed - began.passed
        return type(self)(cpu / REQUESTS, passed / REQUESTS)


Rounds = list[dict[str, Clocks]]  # by way
ONE = sa.text("SELECT 1")
Request = Callable[[], None]
AsyncRequest = Callable[[], Awaitable[None]]
T = TypeVar("T")


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
    arguments = connect_arguments(settings, database_url(settings))
    raw = psycopg.connect(url, **arguments)
    bridged = psycopg_pool.ConnectionPool(
        url, kwargs=arguments, min_size=5, max_size=20, close_returns=True
    )
    bridged.wait()

    def on_raw() -> None:
        raw.execute("SELECT 1").fetchone()
        raw.rollback()

    def queue_pool(**options: object) -> sa.Engine:
        return sa.create_engine(
            settings.url,
            connect_args=arguments,
            poolclass=QueuePool,
            pool_size=20,
            max_overflow=0,
            **options,
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
    arguments = connect_arguments(settings, database_url(settings))
    raw = await psycopg.AsyncConnection.connect(url, **arguments)
    bridged = psycopg_pool.AsyncConnectionPool(
        url, kwargs=arguments, min_size=5, max_size=20, close_returns=True, open=False
    )
    await bridged.open(wait=True)

    async def on_raw() -> None:
        cursor = await raw.execute("SELECT 1")
        await cursor.fetchone()
        await raw.rollback()

    def queue_pool(**options: object) -> sa.ext.asyncio.AsyncEngine:
        return create_async_engine(
            settings.url,
            connect_args=arguments,
            poolclass=AsyncAdaptedQueuePool,
            pool_size=20,
            max_overflow=0,
            **options,
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


def in_turn(ways: dict[str, T], number: int) -> list[tuple[str, T]]:
    """All of them, beginning with another one in each round."""
    named, first = list(ways.items()), number % len(ways)
    return named[first:] + named[:first]


def sync_rounds(ways: dict[str, Request]) -> Rounds:
    rounds: Rounds = []
    for number in range(ROUNDS):
        rounds.append({})
        for name, request in in_turn(ways, number):
            began = Clocks.now()
            for _ in range(REQUESTS):
                request()
            rounds[-1][name] = Clocks.now().since(began)
    return rounds


async def async_rounds(url: str, settings: Settings) -> Rounds:
    ways = await async_ways(url, settings)
    rounds: Rounds = []
    for number in range(ROUNDS):
        rounds.append({})
        for name, request in in_turn(ways, number):
            began = Clocks.now()
            for _ in range(REQUESTS):
                await request()
            rounds[-1][name] = Clocks.now().since(began)
    return rounds


def print_table(title: str, rounds: Rounds) -> Clocks:
    print(f"{title:<32}{'CPU µs':>8}{'x QueuePool':>13}{'passed µs':>12}{'x QueuePool':>13}")
    for name in rounds[0]:
        own, ratio = median_of(each[name] for each in rounds), ratio_of(rounds, name)
        print(
            f"  {name:<30}{own.cpu:>8.1f}{ratio.cpu:>13.2f}{own.passed:>12.1f}{ratio.passed:>13.2f}"
        )
    return ratio_of(rounds, "SizedPool")


def median_of(clocks: Iterable[Clocks]) -> Clocks:
    both = list(clocks)
    return Clocks(median(each.cpu for each in both), median(each.passed for each in both))


def ratio_of(rounds: Rounds, name: str) -> Clocks:
    """The median of what each round says."""
    pairs = [(each[name], each["QueuePool"]) for each in rounds]
    return median_of(Clocks(it.cpu / of.cpu, it.passed / of.passed) for it, of in pairs)


def main() -> int:
    with temporary_server() as server:
        settings = Settings(profile=Profile.DEVELOPMENT, url=server.url(), log_sql=SqlLog.OFF)
        gc.freeze()
        sync = print_table("sync", sync_rounds(sync_ways(server.url(), settings)))
        in_loop = print_table("async", asyncio.run(async_rounds(server.url(), settings)))
    print(
        f"pool: sync={sync.cpu:.2f} async={in_loop.cpu:.2f} times QueuePool's CPU time"
        f" ({sync.passed:.2f} and {in_loop.passed:.2f} times its time)"
    )
    return int(max(sync.cpu, in_loop.cpu) > ALLOWED)


if __name__ == "__main__":
    sys.exit(main())
