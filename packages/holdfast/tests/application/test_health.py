"""health() answers within its deadline and never raises, whatever the server, the network or the secrets do."""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from backends import wait_until
from sqlalchemy import event

from holdfast.application.database import AsyncDatabase, Database
from holdfast.application.health import Health
from holdfast.engine.settings import Settings

NAME = "health-under-test"
NO_ANSWER = "no answer within 550 ms"
Ask = Callable[[Settings], Health]


def settings(url: str, **values: Any) -> Settings:
    limits = {"max": 1, "min": 0, "timeout": "300ms"}
    return Settings(profile="test", url=url, application_name=NAME, pool=limits, **values)


def ask(given: Settings) -> Health:
    database = Database(given)
    database.has_started = True
    return database.health()


def ask_in_a_loop(given: Settings) -> Health:
    async def go() -> Health:
        database = AsyncDatabase(given)
        database.has_started = True
        return await database.health()

    return asyncio.run(go())


@contextmanager
def frozen(database: str) -> Iterator[None]:
    """The server process of our only connection is stopped: the socket stays open and is silent."""
    query = "SELECT pid FROM pg_stat_activity WHERE application_name = %s"
    with psycopg.connect(database) as connection:
        (pid,) = connection.execute(query, (NAME,)).fetchone() or (0,)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def no_vault() -> str:
    msg = "vault is down"
    raise ConnectionError(msg)


def no_exit() -> str:
    raise SystemExit


@pytest.mark.parametrize("ask", [ask, ask_in_a_loop])
def test_whatever_supplies_the_password_fails(ask: Ask, database: str, tmp_path: Path) -> None:
    """A file that is away for a moment, a callable that raises: a problem, not an exception."""
    away = ask(settings(database, password_file=tmp_path / "away"))
    assert (away.is_ready, (away.problem or "").startswith("The password file")) == (False, True)
    assert ask(settings(database, password=no_vault)).problem == "vault is down"


def test_a_listener_that_wants_to_exit(database: str) -> None:
    """Not even then: the caller is told by its name."""
    assert ask(settings(database, password=no_exit)).problem == "SystemExit"


@pytest.mark.parametrize("ask", [ask, ask_in_a_loop])
def test_a_server_that_never_answers(ask: Ask) -> None:
    """It takes the connection and says nothing: the pool's own answer, which says so."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://postgres@127.0.0.1:{silent.getsockname()[1]}/postgres"
        assert "could not be opened within 300 ms" in (ask(settings(url)).problem or "")


def test_a_frozen_server(database: str) -> None:
    """On an open connection: an answer in time, and the place is there again; no other is given up."""
    frozen_database = Database(settings(database))
    frozen_database.has_started = True
    assert frozen_database.health().is_ready
    with frozen(database):
        began = time.monotonic()
        assert frozen_database.health().problem == NO_ANSWER
        assert time.monotonic() - began < 10  # it would take for ever
        pool = frozen_database.engine.pool
        wait_until(lambda: pool.places.taken == 0, what="the place")  # type: ignore[attr-defined]
        assert frozen_database.health().is_ready  # on a new connection
    frozen_database.stop()


def test_a_frozen_server_in_an_event_loop(database: str) -> None:
    """The same; the loop goes on meanwhile, and nobody waits for a cancelled query."""

    async def go() -> None:
        frozen_database = AsyncDatabase(settings(database))
        frozen_database.has_started = True
        assert (await frozen_database.health()).is_ready
        pool: Any = frozen_database.engine.sync_engine.pool
        with frozen(database):
            health = await asyncio.wait_for(frozen_database.health(), 10)
            assert health.problem == NO_ANSWER
            await asyncio.to_thread(wait_until, lambda: pool.places.taken == 0, what="the place")
            assert (await frozen_database.health()).is_ready
        await frozen_database.stop()

    asyncio.run(go())


def test_a_look_that_is_cancelled_gives_its_place_back(database: str) -> None:
    """By a probe that has gone away, while the server is silent."""

    async def go() -> None:
        frozen_database = AsyncDatabase(settings(database))
        frozen_database.has_started = True
        assert (await frozen_database.health()).is_ready
        pool: Any = frozen_database.engine.sync_engine.pool
        with frozen(database):
            look = asyncio.create_task(frozen_database.health())
            await asyncio.to_thread(wait_until, lambda: pool.figures().used == 1, what="the look")
            look.cancel()
            await asyncio.gather(look, return_exceptions=True)
            await asyncio.to_thread(wait_until, lambda: pool.places.taken == 0, what="the place")
        await frozen_database.stop()

    asyncio.run(go())


def test_a_listener_that_blocks(database: str) -> None:
    """Whatever the application does at a checkout: the answer comes in time."""
    blocked = Database(settings(database))
    blocked.has_started = True

    @event.listens_for(blocked.engine, "checkout")
    def block(*_: object) -> None:
        time.sleep(2)

    assert blocked.health().problem == NO_ANSWER
