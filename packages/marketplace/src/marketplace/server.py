"""The PostgreSQL that the marketplace works on: that of DATABASE_URL, or an embedded one."""

import os
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import URL, text
from sqlalchemy.exc import DBAPIError, OperationalError

from holdfast import AsyncDatabase, Database, Profile
from holdfast.engine.connection.database_url import split_url
from holdfast.scratch.server import EmbeddedServer, running_server_url
from marketplace.database import Transactions, command_settings, open_short_engine
from marketplace.errors import DatabaseOutOfReach, DatabaseRefused
from marketplace.settings import Settings, sqlalchemy_url

MAJOR = 18
DATABASE = "marketplace"


@contextmanager
def owned_database(settings: Settings) -> Iterator[URL]:
    """Give the settings' database to a process that serves: an embedded server is its own, and stops with it."""
    if settings.database_url is not None:
        yield sqlalchemy_url(settings.database_url)
        return
    with EmbeddedServer(settings.data_dir, major=MAJOR) as server:
        _create_database(_embedded(server.url("postgres")))
        yield _embedded(server.url(DATABASE))


@contextmanager
def visited_database(settings: Settings) -> Iterator[URL]:
    """Give the settings' database to a short command: an embedded server that already runs is used as it is."""
    running = None
    if settings.database_url is None:
        running = running_server_url(settings.data_dir, DATABASE)
    if running is not None:
        with explained_errors(url := _embedded(running)):
            yield url
        return
    with owned_database(settings) as url, explained_errors(url):
        yield url


@contextmanager
def database_of_command(settings: Settings) -> Iterator[Database]:
    """Start the database of a command as that of a server is: environment and safety are checked."""
    with visited_database(settings) as url:
        database = Database(command_settings(url, profile=settings.profile))
        try:
            database.start()
            yield database
        finally:
            database.stop()


@asynccontextmanager
async def transactions_of_command(url: URL, *, profile: Profile) -> AsyncIterator[Transactions]:
    """Give the transactions of a command that runs an event loop."""
    database = AsyncDatabase(command_settings(url, profile=profile))
    try:
        await database.start()
        yield Transactions.on(database.engine)
    finally:
        await database.stop()


@contextmanager
def explained_errors(url: URL) -> Iterator[None]:
    """Turn errors of the database into ones with a way out: `DatabaseOutOfReach`, `DatabaseRefused`."""
    try:
        yield
    except DBAPIError as error:
        sqlstate = getattr(error.orig, "sqlstate", None)
        if sqlstate is None and isinstance(error, OperationalError):
            raise DatabaseOutOfReach(database=shown(url), reason=first_line(error)) from error
        raise DatabaseRefused(
            database=shown(url), sqlstate=sqlstate or "no SQLSTATE", reason=first_line(error)
        ) from error


def shown(url: URL) -> str:
    """Write the URL as psql takes it, with *** for the password, wherever that is."""
    parts = split_url(url.render_as_string(hide_password=False))
    hidden = None if parts.password is None else "hidden"  # SQLAlchemy writes *** for any
    return parts.address.set(drivername="postgresql", password=hidden).render_as_string()


def first_line(error: DBAPIError) -> str:
    """Give the first line of what the server or the driver said."""
    return str(error.orig).strip().splitlines()[0].rstrip(".")


def with_kept_key(settings: Settings) -> Settings:
    """Give the settings with the key beside the data folder, if the database is embedded and no key is set."""
    if settings.database_url is not None or "server_key" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"server_key": kept_key(settings.data_dir)})


def kept_key(data_dir: Path) -> SecretStr:
    """Give the server key of an embedded database, made at the first start.

    Beside the data folder, not in it: a copy of the database alone gives nobody a session.
    """
    path = data_dir.with_name(f"{data_dir.name}.key")
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return SecretStr(path.read_text())
    with os.fdopen(descriptor, "w") as file:
        file.write(key := secrets.token_urlsafe(32))
    return SecretStr(key)


def _embedded(url: str) -> URL:
    return sqlalchemy_url(SecretStr(url))


def _create_database(maintenance: URL) -> None:
    engine = open_short_engine(
        maintenance, profile=Profile.DEVELOPMENT, isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        known = connection.scalar(
            text("SELECT count(*) FROM pg_database WHERE datname = :name"), {"name": DATABASE}
        )
        if not known:
            connection.execute(text(f"CREATE DATABASE {DATABASE}"))
