"""What a connection of the engine is like, asked of the server."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pools import pool_of
from psycopg import sql
from pydantic import SecretStr
from sqlalchemy import Engine, make_url, text
from sqlalchemy.exc import OperationalError, StatementError

from holdfast.engine.create_engine import (
    create_async_engine,
    create_engine,
    create_migration_engine,
    migration_url,
)
from holdfast.engine.settings import Settings
from holdfast.errors.settings import NoDatabaseUrl
from holdfast.scratch.server import temporary_server

SECRET = "hunter2"
OWNER = "postgresql://owner:two@db/shop"


@pytest.fixture
def connect(database: str) -> Iterator[Callable[..., Engine]]:
    """An engine with these settings."""
    engines: list[Engine] = []

    def with_settings(**values: Any) -> Engine:
        engines.append(create_engine(Settings(**{"profile": "test", "url": database} | values)))
        return engines[-1]

    yield with_settings
    for engine in engines:
        engine.dispose()


def show(engine: Engine, *names: str) -> list[str]:
    with engine.connect() as connection:
        return [str(connection.scalar(text(f"SHOW {name}"))) for name in names]


LIMITS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")


def test_timeouts_and_name_reach_the_server(connect: Callable[..., Engine]) -> None:
    """As the settings say; the name in pg_stat_activity as well."""
    engine = connect(application_name="shop", timeouts={"lock": "1500ms"})
    assert show(engine, *LIMITS, "application_name") == ["30s", "1500ms", "1min", "shop"]


def test_keepalives_and_user_timeout_reach_the_socket(database: str) -> None:
    """libpq is told; it asks the kernel."""
    engine = create_engine(Settings(profile="test", url=database))
    with engine.connect() as connection:
        told = connection.connection.driver_connection.info.get_parameters()
    engine.dispose()
    assert {name: told[name] for name in told if name.startswith(("keep", "tcp"))} == {
        "keepalives_idle": "30",
        "keepalives_interval": "5",
        "keepalives_count": "3",
        "tcp_user_timeout": "5000",
    }


@pytest.mark.parametrize(
    ("pooler", "threshold"), [(True, None), ("true", None), ("transaction", None), ("prepared", 5)]
)
def test_behind_a_pooler_nothing_is_set_for_a_session(
    connect: Callable[..., Engine], pooler: object, threshold: int | None
) -> None:
    """Whatever is SET would reach strangers and be gone for us: limits are the role's; prepared where it is said."""
    engine = connect(pooler=pooler)
    assert show(engine, *LIMITS) == ["0", "0", "0"]
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert "options" not in driver.info.get_parameters()
        assert (driver.prepare_threshold, driver.autocommit) == (threshold, False)


def test_migrations_go_past_a_pooler(database: str) -> None:
    """The URL of the server itself, with its own user and password, wherever migrations connect."""
    settings = Settings(
        profile="test",
        url="postgresql://app:one@pooler:6432/shop",
        pooler="transaction",
        tls_ca="system",
        migration_url=database,
    )
    with create_migration_engine(settings).connect() as connection:
        assert connection.scalar(text("SELECT current_database()")) == make_url(database).database
    told = migration_url(
        settings.model_copy(update={"migration_url": SecretStr(f"{OWNER}?sslmode=disable")})
    )
    assert (told.username, told.password, told.host) == ("owner", "two", "db")
    assert "two" not in repr(settings) + str(settings)


def test_migrations_have_no_timeouts(database: str) -> None:
    """A statement of a migration may take hours."""
    engine = create_migration_engine(Settings(profile="test", url=database))
    assert show(engine, *LIMITS) == ["0", "0", "0"]


def test_the_pool_is_that_of_the_settings(connect: Callable[..., Engine]) -> None:
    """With the name that metrics show."""
    engine = connect(pool={"max": 7, "min": 3})
    pool = pool_of(engine)
    assert (pool.limits.max, pool.limits.min) == (7, 3)
    assert pool.name.endswith(f":5432/{engine.url.database}")


def test_without_a_url_there_is_no_engine() -> None:
    """Says which variable is missing."""
    with pytest.raises(NoDatabaseUrl):
        create_engine(Settings())
    with pytest.raises(NoDatabaseUrl):
        create_async_engine(Settings())


def test_a_password_is_sent_and_never_shown() -> None:
    """On a server that asks for it, from every source; a wrong one is not repeated either."""
    with temporary_server() as server:
        url = with_password(server.url())
        for engine in (
            create_engine(Settings(profile="test", url=url.replace("app@", f"app:{SECRET}@"))),
            create_engine(Settings(profile="test", url=url, password=SECRET)),
            create_engine(Settings(profile="test", url=url, password=lambda: SECRET)),
            create_migration_engine(Settings(profile="test", url=url, password=SECRET)),
        ):
            assert show(engine, "application_name") == ["holdfast"]
            assert SECRET not in f"{engine!r} {engine.url!r} {engine.url} {engine.pool.status()}"
            engine.dispose()
        wrong = create_engine(Settings(profile="test", url=url, password=f"not{SECRET}"))
        with pytest.raises(OperationalError, match="password authentication failed") as raised:
            wrong.connect()
    assert SECRET not in str(raised.value) + repr(raised.value)


def with_password(url: str) -> str:
    """The URL of a role that must give a password."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE app LOGIN PASSWORD {}").format(sql.Literal(SECRET)))
        rules = Path(connection.execute("SHOW hba_file").fetchone()[0])  # type: ignore[index]
        rules.write_text("local all app scram-sha-256\nlocal all all trust\n")
        connection.execute("SELECT pg_reload_conf()")
    return url.replace("postgres@", "app@")


@pytest.mark.parametrize(
    ("profile", "log_sql", "statement", "parameter"),
    [
        ("development", None, True, False),
        ("development", "parameters", True, True),
        ("development", "off", False, False),
        ("test", None, False, False),
        ("production", None, False, False),
        ("production", "statements", True, False),
    ],
)
def test_sql_logging(
    database: str,
    caplog: pytest.LogCaptureFixture,
    profile: str,
    log_sql: str | None,
    statement: bool,
    parameter: bool,
) -> None:
    """Statements in development, parameters only by naming it, neither elsewhere by default."""
    named = {} if log_sql is None else {"log_sql": log_sql}
    name = f"{profile}-{log_sql}"
    settings = Settings(profile=profile, url=database, application_name=name, **named)
    engine = create_engine(settings)
    with engine.connect() as connection:
        connection.execute(text("SELECT CAST(:secret AS text)"), {"secret": SECRET})
    engine.dispose()
    assert ("SELECT CAST" in caplog.text, SECRET in caplog.text) == (statement, parameter)
    logging.getLogger(f"sqlalchemy.engine.Engine.{name}").setLevel(logging.NOTSET)


def test_parameters_are_hidden_in_errors(connect: Callable[..., Engine]) -> None:
    """SQLAlchemy's part of the message; what the server itself repeats, it repeats."""
    engine = connect()
    with engine.connect() as connection, pytest.raises(StatementError) as raised:
        connection.execute(text("SELECT 1/0, CAST(:secret AS text)"), {"secret": SECRET})
    assert SECRET not in str(raised.value)


def test_of_several_hosts_the_one_that_writes(database: str) -> None:
    """One is away, one takes no writes; the third is found, whatever the order."""
    with temporary_server(settings={"default_transaction_read_only": "on"}) as replica:
        folders = [folder_of(url) for url in (replica.url(), database)]
        name = database.partition("?")[0].rpartition("/")[2]
        with psycopg.connect(replica.url(), autocommit=True) as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        query = "&".join(f"host={folder}" for folder in ("/nowhere", *folders))
        url = f"postgresql://postgres@/{name}?{query}"
        engine = create_engine(Settings(profile="test", url=url))
        assert show(engine, "transaction_read_only") == ["off"]
        engine.dispose()


def folder_of(url: str) -> str:
    return url.partition("host=")[2].partition("&")[0]
