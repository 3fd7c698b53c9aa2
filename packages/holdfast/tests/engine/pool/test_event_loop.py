"""The same contract in an event loop, and what only happens there: cancelled tasks, lost connections."""

import asyncio
import gc
from collections.abc import Callable

import psycopg
import pytest
from backends import backends, wait_for_backends, wait_until
from pools import PID, pool_of
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.util.concurrency import greenlet_spawn

from holdfast.engine.create_engine import create_async_engine
from holdfast.engine.pool.places import Figures
from holdfast.engine.pool.sized import AsyncSizedPool
from holdfast.engine.settings import Settings
from holdfast.errors.pool import PoolExhausted

AsyncEngines = Callable[..., AsyncEngine]
PATIENCE = 10


async def pid(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return int(await connection.scalar(PID) or 0)


def figures(engine: AsyncEngine) -> Figures:
    return pool_of(engine.sync_engine).figures()


def lending(engine: AsyncEngine) -> AsyncSizedPool:
    pool = engine.sync_engine.pool
    assert isinstance(pool, AsyncSizedPool)
    return pool


def lose(connections: list[AsyncConnection]) -> None:
    connections.clear()
    gc.collect()


async def until_waiting(engine: AsyncEngine, number: int) -> None:
    what = f"{number} waiting requests"
    await asyncio.to_thread(wait_until, lambda: figures(engine).waiting == number, what=what)


def test_prewarm_maximum_and_idle(
    async_engine: AsyncEngines, database: str, application_name: str
) -> None:
    """min at the start, never more than max, min again when idle."""

    async def requests() -> None:
        engine = async_engine(idle="200ms")
        await greenlet_spawn(pool_of(engine.sync_engine).prewarm)
        assert len(backends(database, application_name)) == 2
        pids = await asyncio.gather(*(pid(engine) for _ in range(100)))
        assert set(pids) <= backends(database, application_name)
        assert len(set(pids)) == 4
        await asyncio.to_thread(wait_for_backends, database, application_name, 2)
        await engine.dispose()
        await asyncio.to_thread(wait_for_backends, database, application_name, 0)

    asyncio.run(requests())


def test_lost_connections_give_their_places_back(async_engine: AsyncEngines) -> None:
    """Three of three lost to the garbage collector; three can be had again."""

    async def requests() -> None:
        engine = async_engine(max=3, min=0)
        lost = [await engine.connect() for _ in range(3)]
        lose(lost)
        found = [await engine.connect() for _ in range(3)]
        for connection in found:
            await connection.close()
        await engine.dispose()

    asyncio.run(requests())


def test_a_waiting_request_gets_the_place_of_a_lost_connection(
    async_engine: AsyncEngines,
) -> None:
    """Collected in another thread, too."""

    async def requests() -> int:
        engine = async_engine(max=1, min=0)
        lost: list[AsyncConnection] = [await engine.connect()]
        waiting = asyncio.create_task(pid(engine))
        await until_waiting(engine, 1)
        await asyncio.to_thread(lose, lost)
        served = await asyncio.wait_for(waiting, PATIENCE)
        await engine.dispose()
        return served

    assert asyncio.run(requests()) > 0


def test_exhausted_says_why(async_engine: AsyncEngines) -> None:
    """The same error as in threads."""

    async def requests() -> None:
        engine = async_engine(max=1, min=1, timeout="50ms")
        await greenlet_spawn(pool_of(engine.sync_engine).prewarm)
        async with engine.connect():
            with pytest.raises(PoolExhausted):
                await engine.connect()
        assert figures(engine) == Figures(maximum=1, idle=1, used=0, connecting=0, waiting=0)
        await engine.dispose()

    asyncio.run(requests())


def test_a_cancelled_request_loses_nothing(async_engine: AsyncEngines) -> None:
    """Neither one that waits nor one in the middle of a query takes a place with it."""

    async def requests() -> None:
        engine = async_engine(max=1, min=0)
        connection = await engine.connect()
        waiting = asyncio.create_task(pid(engine))
        await until_waiting(engine, 1)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(connection.execute(text("SELECT pg_sleep(60)")), 0.05)
        await connection.close()
        assert await pid(engine) > 0
        assert figures(engine).used == 0
        await engine.dispose()

    asyncio.run(requests())


def test_a_request_cancelled_as_it_is_served_hands_on(async_engine: AsyncEngines) -> None:
    """Served and cancelled in the same turn of the loop: the next in the queue gets the connection."""

    async def requests() -> None:
        engine = async_engine(max=1, min=0)
        connection = await engine.connect()
        first, second = asyncio.create_task(pid(engine)), asyncio.create_task(pid(engine))
        await until_waiting(engine, 2)
        await connection.close()
        assert figures(engine).waiting == 1  # served, and not yet running
        first.cancel()
        assert await asyncio.wait_for(second, PATIENCE) > 0
        await asyncio.gather(first, return_exceptions=True)
        await engine.dispose()

    asyncio.run(requests())


def test_no_such_role_says_so(settings: Callable[..., Settings], database: str) -> None:
    """The cause, not a timeout."""

    async def request() -> None:
        url = database.replace("postgres@", "nosuchrole@")
        with pytest.raises(OperationalError, match='role "nosuchrole" does not exist'):
            await create_async_engine(settings(url=url)).connect()

    asyncio.run(request())


def test_an_engine_serves_one_loop_after_the_other(
    async_engine: AsyncEngines, database: str, application_name: str
) -> None:
    """As in tests and scripts; the second loop reaps what the first one left."""
    engine = async_engine(idle="200ms", min=0)

    async def burst() -> None:
        connections = [await engine.connect() for _ in range(3)]
        for connection in connections:
            await connection.close()

    async def wait_for_reaper() -> None:
        await pid(engine)
        await asyncio.to_thread(wait_for_backends, database, application_name, 0)
        await engine.dispose()

    asyncio.run(burst())
    asyncio.run(wait_for_reaper())


def test_a_lent_connection_comes_back(async_engine: AsyncEngines) -> None:
    """The same one, whether it was at hand or had to be opened; a request that waits gets it next."""

    async def borrow() -> None:
        engine = async_engine(max=1, min=0)
        pool = lending(engine)
        seen = []
        for _ in range(3):
            async with pool.lend() as driver:
                seen.append(driver.info.backend_pid)
                assert figures(engine).used == 1
                waiting = asyncio.create_task(pid(engine))
                await until_waiting(engine, 1)
            seen.append(await waiting)
        assert len(set(seen)) == 1
        assert figures(engine) == Figures(maximum=1, idle=1, used=0, connecting=0, waiting=0)
        await engine.dispose()

    asyncio.run(borrow())


def test_a_lent_connection_is_closed_when_in_doubt(
    async_engine: AsyncEngines, database: str, application_name: str
) -> None:
    """After a failure, a cancellation, a transaction that was left open, a disposal: never handed on."""

    async def fail(pool: AsyncSizedPool) -> None:
        async with pool.lend() as driver:
            await driver.execute("SELECT 1 / 0")

    async def hang(pool: AsyncSizedPool) -> None:
        async with pool.lend() as driver:
            loop, me = asyncio.get_running_loop(), asyncio.current_task()
            assert me is not None
            loop.call_later(0.1, me.cancel)
            await driver.execute("SELECT pg_sleep(60)")

    async def forget(pool: AsyncSizedPool) -> None:
        async with pool.lend() as driver:
            await driver.execute("SELECT 1")

    async def borrow() -> None:
        engine = async_engine(max=1, min=0)
        pool, seen = lending(engine), set()
        for doubtful in (fail, hang, forget):
            seen.add(await pid(engine))
            await asyncio.wait({asyncio.create_task(doubtful(pool))})
            assert figures(engine).used == 0
        async with pool.lend() as driver:
            seen.add(driver.info.backend_pid)
            await engine.dispose()
        assert len(seen) == 4
        await asyncio.to_thread(wait_for_backends, database, application_name, 0)

    asyncio.run(borrow())


def test_a_connection_that_has_ended_is_not_lent(async_engine: AsyncEngines, database: str) -> None:
    """However the server ended it while it was idle: the borrower gets another one."""

    async def borrow() -> None:
        engine = async_engine(max=2, min=0)
        before = {await pid(engine)}
        async with engine.connect() as one, engine.connect() as other:
            before |= {int(await it.scalar(PID) or 0) for it in (one, other)}
        with psycopg.connect(database, autocommit=True) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM unnest(%s) AS pid", [list(before)]
            )
        async with lending(engine).lend() as driver:
            assert driver.info.backend_pid not in before
            assert figures(engine) == Figures(maximum=2, idle=0, used=1, connecting=0, waiting=0)
        await engine.dispose()

    asyncio.run(borrow())
