"""The PostgreSQL that the marketplace works on: the one of DATABASE_URL, or an embedded one."""

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import SecretStr
from sqlalchemy import URL, NullPool, create_engine, text

from holdfast.scratch.server import EmbeddedServer, running_server_url
from marketplace.settings import Settings, sqlalchemy_url

MAJOR = 18
DATABASE = "marketplace"


@contextmanager
def owned_database(settings: Settings) -> Iterator[URL]:
    """For a process that serves: an embedded server is its own, and stops with it."""
    if settings.database_url is not None:
        yield sqlalchemy_url(settings.database_url)
        return
    with EmbeddedServer(settings.data_dir, major=MAJOR) as server:
        _create_database(_embedded(server.url("postgres")))
        yield _embedded(server.url(DATABASE))


@contextmanager
def visited_database(settings: Settings) -> Iterator[URL]:
    """For a command that comes and goes: an embedded server that runs already is used as it is."""
    running = None
    if settings.database_url is None:
        running = running_server_url(settings.data_dir, DATABASE)
    if running is not None:
        yield _embedded(running)
        return
    with owned_database(settings) as url:
        yield url


def _embedded(url: str) -> URL:
    return sqlalchemy_url(SecretStr(url))


def _create_database(maintenance: URL) -> None:
    engine = create_engine(maintenance, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        known = connection.scalar(
            text("SELECT count(*) FROM pg_database WHERE datname = :name"), {"name": DATABASE}
        )
        if not known:
            connection.execute(text(f"CREATE DATABASE {DATABASE}"))
