"""A server that restarts, or is away: on a server of these tests' own."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from pools import PID, pid, pool_of, use_at_once
from sqlalchemy.exc import OperationalError

from holdfast.engine.create_engine import create_async_engine, create_engine
from holdfast.engine.settings import Settings
from holdfast.scratch.server import EmbeddedServer, temporary_server

WORKERS = 10


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    with temporary_server() as server:
        yield server


@pytest.fixture
def ten(server: EmbeddedServer, settings: Callable[..., Settings]) -> Settings:
    """Settings for that server, a connection for each worker."""
    return settings(url=server.url(), max=WORKERS, min=0)


def restart(server: EmbeddedServer) -> None:
    server.stop()
    server.start()


@pytest.mark.parametrize("in_parallel", [1, WORKERS])
def test_a_restart_fails_no_request(
    server: EmbeddedServer, ten: Settings, in_parallel: int
) -> None:
    """Ten connections are stale; thirty requests, one by one or by ten workers: no error."""
    engine = create_engine(ten)
    stale = use_at_once(engine, WORKERS)
    restart(server)
    with ThreadPoolExecutor(in_parallel) as workers:
        fresh = set(workers.map(lambda _: pid(engine), range(30)))
    engine.dispose()
    assert not fresh & stale


def test_a_restart_fails_no_request_in_the_event_loop(
    server: EmbeddedServer, ten: Settings
) -> None:
    """The same with ten tasks."""

    async def requests() -> tuple[set[int], set[int]]:
        engine = create_async_engine(ten)
        opened = [await engine.connect() for _ in range(WORKERS)]
        stale = {int(await connection.scalar(PID) or 0) for connection in opened}
        for connection in opened:
            await connection.close()
        await asyncio.to_thread(restart, server)

        async def request() -> int:
            async with engine.connect() as connection:
                return int(await connection.scalar(PID) or 0)

        fresh = set(await asyncio.gather(*(request() for _ in range(30))))
        await engine.dispose()
        return stale, fresh

    stale, fresh = asyncio.run(requests())
    assert not fresh & stale


def test_a_stopped_server_is_named_at_once_and_found_again(
    server: EmbeddedServer, settings: Callable[..., Settings]
) -> None:
    """With an hour to wait the error comes now, with the cause; after the start all is well."""
    engine = create_engine(settings(url=server.url(), timeout="1h"))
    use_at_once(engine, 4)
    server.stop()
    with ThreadPoolExecutor(4) as workers:
        requests = [workers.submit(pid, engine) for _ in range(8)]
        causes = {str(request.exception(60)) for request in requests}
    assert all("Is the server running" in cause for cause in causes), causes
    server.start()
    assert pid(engine) > 0
    assert pool_of(engine).figures().used == 0
    engine.dispose()


def test_a_shutdown_under_a_request_is_an_error_once(server: EmbeddedServer, ten: Settings) -> None:
    """Who is in the middle of a transaction hears of it; the next one does not."""
    engine = create_engine(ten)
    with engine.connect() as connection:
        connection.scalar(PID)
        restart(server)
        with pytest.raises(OperationalError, match=r"terminat|closed"):
            connection.scalar(PID)
    assert pid(engine) > 0
    engine.dispose()
