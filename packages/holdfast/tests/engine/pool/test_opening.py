"""Connections that are opened too late, or for nobody: on a server that accepts and says nothing."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from backends import wait_until
from pools import PID, pool_of, use_at_once
from sqlalchemy import Engine, event, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util.concurrency import await_only

from holdfast.engine.create_engine import create_async_engine, create_engine
from holdfast.engine.pool.places import Figures
from holdfast.engine.pool.sized import AsyncSizedPool
from holdfast.engine.settings import Settings
from holdfast.errors.pool import ConnectionNotOpened

EMPTY = Figures(maximum=4, idle=0, used=0, connecting=0, waiting=0)
ONE_IDLE = Figures(maximum=4, idle=1, used=0, connecting=0, waiting=0)


@pytest.fixture
def silent() -> Iterator[str]:
    """The URL of a server that lets clients wait."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"postgresql://postgres@127.0.0.1:{listener.getsockname()[1]}/postgres"


def test_the_deadline_covers_the_handshake(settings: Callable[..., Settings], silent: str) -> None:
    """The error says that the server did not answer, not that the pool is full; its place comes back."""
    engine = create_engine(settings(url=silent, timeout="50ms"))
    with pytest.raises(ConnectionNotOpened) as raised:
        engine.connect()
    assert raised.value.parts()[0].endswith("could not be opened within 50 ms.")
    assert raised.value.timeout >= raised.value.left
    wait_until(lambda: pool_of(engine).figures() == EMPTY, what="the attempt to be given up")


def test_queueing_and_connecting_share_one_deadline(engine: Callable[..., Engine]) -> None:
    """What the queue has taken is missing from the handshake."""
    single = engine(max=1, min=0, timeout="300ms")
    held = single.connect()
    may_connect = threading.Event()

    @event.listens_for(single, "do_connect")
    def wait(*_: object) -> None:
        may_connect.wait(10)

    with ThreadPoolExecutor(1) as requests:
        request = requests.submit(single.connect)
        wait_until(lambda: pool_of(single).figures().waiting == 1, what="a waiting request")
        held.invalidate()
        held.close()  # its place is free, its connection gone
        error = request.exception(10)
        may_connect.set()
    assert isinstance(error, ConnectionNotOpened)
    assert error.left < error.timeout
    wait_until(lambda: pool_of(single).figures().idle == 1, what="the late connection")


def test_the_deadline_covers_the_handshake_in_the_event_loop(
    settings: Callable[..., Settings], silent: str
) -> None:
    """The same."""

    async def request() -> None:
        engine = create_async_engine(settings(url=silent, timeout="50ms"))
        with pytest.raises(ConnectionNotOpened):
            await engine.connect()

    asyncio.run(request())


def test_a_cancelled_request_ends_at_once(settings: Callable[..., Settings], silent: str) -> None:
    """Whoever stops waiting need not wait for the server; the attempt itself still counts for the maximum."""

    async def requests() -> Figures:
        engine = create_async_engine(settings(url=silent, timeout="5s"))
        pool = pool_of(engine.sync_engine)
        request = asyncio.create_task(use(engine))
        await asyncio.to_thread(
            wait_until, lambda: pool.figures().connecting == 1, what="the attempt"
        )
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        return pool.figures()

    assert asyncio.run(requests()) == replace(EMPTY, connecting=1)


def test_a_connection_that_comes_late_goes_into_the_pool(engine: Callable[..., Engine]) -> None:
    """Its request has given up; the next one uses it."""
    slow = engine(timeout="50ms")
    may_connect = threading.Event()

    @event.listens_for(slow, "do_connect")
    def wait(*_: object) -> None:
        may_connect.wait(10)

    with pytest.raises(ConnectionNotOpened):
        slow.connect()
    assert pool_of(slow).figures().connecting == 1
    may_connect.set()
    wait_until(lambda: pool_of(slow).figures() == ONE_IDLE, what="the connection")
    assert len(use_at_once(slow, 1)) == 1


def test_a_connection_that_comes_late_in_the_event_loop(
    async_engine: Callable[..., AsyncEngine],
) -> None:
    """Cancelled, not too late: the connection is kept all the same."""

    async def requests() -> None:
        engine = async_engine()
        may_connect = asyncio.Event()

        @event.listens_for(engine.sync_engine, "do_connect")
        def wait(*_: object) -> None:
            await_only(may_connect.wait())

        pool = pool_of(engine.sync_engine)
        request = asyncio.create_task(use(engine))
        await asyncio.to_thread(wait_until, lambda: pool.figures().connecting == 1, what="it")
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        may_connect.set()
        await asyncio.to_thread(wait_until, lambda: pool.figures() == ONE_IDLE, what="it")
        await engine.dispose()

    asyncio.run(requests())


def test_what_arrives_after_the_stop_is_closed(engine: Callable[..., Engine]) -> None:
    """Nobody attends it and nobody will: a database can be dropped after the stop. So with what warms up."""
    for begin in (Engine.connect, lambda stopped: pool_of(stopped).prewarm()):
        stopped = engine(timeout="50ms")
        may_connect = threading.Event()

        @event.listens_for(stopped, "do_connect")
        def wait(*_: object, may_connect: threading.Event = may_connect) -> None:
            may_connect.wait(10)

        pool = pool_of(stopped)
        with ThreadPoolExecutor(1) as requests:
            request = requests.submit(begin, stopped)
            wait_until(lambda: pool.figures().connecting > 0, what="the attempt")  # noqa: B023
            if begin is Engine.connect:
                assert isinstance(request.exception(10), ConnectionNotOpened)
            stopped.dispose()
            may_connect.set()
        wait_until(lambda: pool.places.taken == 0, what="the end of the attempt")  # noqa: B023


def test_a_closed_loop_takes_no_place_along(async_engine: Callable[..., AsyncEngine]) -> None:
    """Whatever went on in it: opening, waiting in the queue, resetting; the next loop has all of them."""
    engine = async_engine(max=2, min=0, timeout="1s")
    is_slow = True

    @event.listens_for(engine.sync_engine, "do_connect")
    def wait(*_: object) -> None:
        if is_slow:
            await_only(asyncio.sleep(3600))

    async def begin(number: int) -> None:
        for _ in range(number):
            asyncio.get_running_loop().create_task(use(engine))
        pool = pool_of(engine.sync_engine)
        await asyncio.to_thread(
            wait_until, lambda: pool.figures().connecting == 2, what="the attempts"
        )

    loop = asyncio.new_event_loop()
    loop.run_until_complete(begin(4))  # two of them wait in the queue
    loop.close()
    is_slow = False

    async def both() -> set[int]:
        async with engine.connect() as one, engine.connect() as other:
            pids = {int(await it.scalar(PID) or 0) for it in (one, other)}
        await engine.dispose()
        return pids

    assert len(asyncio.run(both())) == 2


def test_a_closed_loop_takes_no_lent_connection_along(
    async_engine: Callable[..., AsyncEngine],
) -> None:
    """One that was being reset as the loop was closed."""
    engine = async_engine(max=1, min=0, timeout="1s")
    pool = engine.sync_engine.pool
    assert isinstance(pool, AsyncSizedPool)

    async def borrow() -> None:
        async with pool.lend() as driver:
            await driver.execute("SELECT 1")
            await driver.rollback()

    loop = asyncio.new_event_loop()
    loop.run_until_complete(borrow())
    loop.close()

    async def again() -> int:
        pid = await use(engine)
        await engine.dispose()
        return pid

    assert asyncio.run(again()) > 0


# Tasks of a loop that was closed. Python warns when one is collected, in whatever test that happens: so they are kept.
LEFT_BEHIND: list["asyncio.Task[None]"] = []


def test_a_closed_loop_takes_no_used_connection_along(
    async_engine: Callable[..., AsyncEngine],
) -> None:
    """In the middle of a query, lent or through SQLAlchemy: greenlets keep it alive for ever, and it is closed."""
    engine = async_engine(max=2, min=0, timeout="1s")
    pool = engine.sync_engine.pool
    assert isinstance(pool, AsyncSizedPool)

    async def query() -> None:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT pg_sleep(3600)"))

    async def borrow() -> None:
        async with pool.lend() as driver:
            await driver.execute("SELECT pg_sleep(3600)")

    async def begin() -> None:
        LEFT_BEHIND.extend(
            asyncio.get_running_loop().create_task(work()) for work in (query, borrow)
        )
        await asyncio.to_thread(wait_until, lambda: pool.figures().used == 2, what="both")

    loop = asyncio.new_event_loop()
    loop.run_until_complete(begin())
    loop.close()

    async def both() -> set[int]:
        async with engine.connect() as one, engine.connect() as other:
            pids = {int(await it.scalar(PID) or 0) for it in (one, other)}
        await engine.dispose()
        return pids

    assert len(asyncio.run(both())) == 2


async def use(engine: AsyncEngine) -> int:
    async with engine.connect() as connection:
        return int(await connection.scalar(PID) or 0)
