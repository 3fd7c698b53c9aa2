"""A database with the schema, one with the demo shop, and the API on top of one."""

import asyncio
import secrets
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from threading import Event, Thread

import httpx
import pytest
import uvicorn
from alembic.config import Config
from argon2 import PasswordHasher
from everywhere import leave_out
from pydantic import SecretStr
from sqlalchemy import Engine, NullPool, create_engine
from sqlalchemy.orm import Session

from holdfast.scratch.databases import Postgres
from marketplace import demo_data, schema
from marketplace.app import create_app
from marketplace.demo_data import load_demo_data
from marketplace.listener import bound_socket
from marketplace.serving import server_config
from marketplace.settings import (
    BackgroundSettings,
    OrderSettings,
    PasswordSettings,
    RateSettings,
    Settings,
    sqlalchemy_url,
)

LIMIT = 30
CURSOR_KEY = SecretStr("a key of the tests, long enough to be one")
SERVER_KEY = SecretStr("another key of the tests, long enough as well")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is marked `everywhere` is for the proof of that name."""
    leave_out(config, items)


def engine_on(url: str) -> Engine:
    return create_engine(sqlalchemy_url(SecretStr(url)), poolclass=NullPool)


def migrate(url: str) -> None:
    with engine_on(url).connect() as connection:
        schema.upgrade(connection)


def open_shop(url: str) -> None:
    migrate(url)
    with Session(engine_on(url)) as session, pytest.MonkeyPatch.context() as patch:
        hash_cheaply(patch)
        load_demo_data(session)


def hash_cheaply(patch: pytest.MonkeyPatch) -> None:
    """As the API of the tests does: to verify a password of the demo shop costs next to nothing."""
    cheap = partial(PasswordHasher, memory_cost=8, time_cost=1, parallelism=1)
    patch.setattr(demo_data, "PasswordHasher", cheap)


@pytest.fixture
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """For who loads the demo shop."""
    hash_cheaply(monkeypatch)


@pytest.fixture
def engine(database: str) -> Engine:
    """On an empty database."""
    return engine_on(database)


@pytest.fixture
def config(engine: Engine) -> Iterator[Config]:
    """For alembic.command and holdfast.migrate, on the empty database of `engine`."""
    config = schema.migration_config()
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        yield config


@pytest.fixture
def migrated(database_from: Callable[[str, Callable[[str], None]], str]) -> Engine:
    """On a database with the newest schema, and nothing in it."""
    return engine_on(database_from("migrated", migrate))


@pytest.fixture
def shop(
    database_from: Callable[[str, Callable[[str], None]], str], monkeypatch: pytest.MonkeyPatch
) -> Engine:
    """On a database with the demo shop."""
    serve_at_once(monkeypatch)
    return engine_on(database_from("shop", open_shop))


def serve_at_once(environment: pytest.MonkeyPatch) -> None:
    """The schema of the shop is the newest: what serves it need not look, nor connect more often than it has to."""
    environment.setenv("HOLDFAST_PROFILE", "development")
    environment.setenv("HOLDFAST_MIGRATE_ON_START", "off")
    environment.setenv("HOLDFAST_POOL_MIN", "1")


@pytest.fixture(scope="module")
def api_to_read(postgres: Postgres) -> Iterator[httpx.Client]:
    """The API on a demo shop that no test of the module changes."""
    with (
        pytest.MonkeyPatch.context() as environment,
        postgres.database(template=postgres.template("shop", open_shop)) as url,
    ):
        serve_at_once(environment)
        with serving(engine_on(url)) as client:
            yield client


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A folder for an embedded server: not there yet, and whoever the server runs as can reach it."""
    folder = Path(tempfile.gettempdir()).resolve() / f"marketplace-{secrets.token_hex(8)}"
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def settings() -> dict[str, object]:
    """What a module sets otherwise than all others, for `api`."""
    return {}


@pytest.fixture
def api(shop: Engine, settings: dict[str, object]) -> Iterator[httpx.Client]:
    """The API on the database of `shop`, served over HTTP."""
    with serving(shop, **settings) as client:
        yield client


@pytest.fixture
def serve_with_server(
    shop: Engine,
) -> "Iterator[Callable[..., tuple[httpx.Client, Server]]]":
    """As `serve`, and gives the server too."""
    with ExitStack() as lifetime:
        yield lambda **settings: lifetime.enter_context(served(shop, **settings))


@pytest.fixture(autouse=True)
def in_development(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `./dev` starts it: a process that nobody tells its profile is production."""
    monkeypatch.setenv("HOLDFAST_PROFILE", "development")


@pytest.fixture
def serve(shop: Engine) -> Iterator[Callable[..., httpx.Client]]:
    """The API on the database of `shop`, with other settings: `serve(trusted_proxies=1)`."""
    with ExitStack() as lifetime:
        yield lambda **settings: lifetime.enter_context(serving(shop, **settings))


def settings_for(engine: Engine, **settings: object) -> Settings:
    """Hashing that costs next to nothing, and no limit that a test would meet by chance."""
    often = "100000/minute"
    defaults: dict[str, object] = {
        "database_url": SecretStr(engine.url.render_as_string(hide_password=False)),
        "background": BackgroundSettings(enabled=False),
        "cursor_key": CURSOR_KEY,
        "server_key": SERVER_KEY,
        "password": PasswordSettings(memory_kib=8, passes=1, lanes=1),
        "rate": RateSettings(
            login_per_ip=often,
            login_per_account=often,
            refresh_per_ip=often,
            refresh_per_account=often,
            login_failures_per_account=often,
            letters_per_account=often,
            letters_in_all=often,
            checkout_per_account=often,
        ),
        "order": OrderSettings(most_open=1000, most_unpaid_per_day=1000, most_units=50_000),
    }
    return Settings(**{**defaults, **settings})


@contextmanager
def serving(engine: Engine, **settings: object) -> Iterator[httpx.Client]:
    with served(engine, **settings) as (client, _):
        yield client


@contextmanager
def served(
    engine: Engine, *, send_buffer: int | None = None, **settings: object
) -> "Iterator[tuple[httpx.Client, Server]]":
    """The API, and the server that it runs in; with a small buffer a client that does not read is felt soon."""
    app = create_app(settings_for(engine, **settings))
    with bound_socket(host="127.0.0.1", port=0) as listener:
        if send_buffer is not None:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        server = Server(server_config(app, log_level="warning"))
        thread = Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            assert server.is_up.wait(LIMIT), f"the API did not come up in {LIMIT} s"
            port = listener.getsockname()[1]
            # To read all certificates takes longer than most of the tests, and here is no TLS.
            address = f"http://127.0.0.1:{port}"
            with httpx.Client(base_url=address, timeout=LIMIT, verify=False) as client:  # noqa: S501
                yield client, server
        finally:
            server.end()
            thread.join(LIMIT)


class Server(uvicorn.Server):
    """One to wait for, which ends when it is told to: uvicorn looks ten times a second, and then waits a tenth."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = Event()
        self._told = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def end(self) -> None:
        """Tell it, from another thread."""
        self.should_exit = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._told.set)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self.is_up.set()

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self._told.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for _ in range(50):  # its clients have left: that is read now
            if self.server_state.connections:
                await asyncio.sleep(0.002)
        if self.server_state.connections or self.server_state.tasks:
            return await super().shutdown(sockets)
        for listening in (*self.servers, *(sockets or ())):
            listening.close()
        return await self.lifespan.shutdown()
