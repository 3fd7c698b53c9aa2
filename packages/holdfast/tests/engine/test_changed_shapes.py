"""A table changes its shape: nothing that was prepared before is refused, wherever in its transaction it stands."""

import asyncio

import psycopg
import pytest
from sqlalchemy import Connection, text

from holdfast.engine.changed_shapes import CHANNEL
from holdfast.engine.create_engine import create_async_engine, create_engine
from holdfast.engine.pool.limits import PoolLimits
from holdfast.engine.profiles import Profile
from holdfast.engine.settings import Settings

READ = text("SELECT * FROM a WHERE id = :id")


@pytest.fixture
def settings(database: str) -> Settings:
    """A table whose type is about to change."""
    with psycopg.connect(database) as connection:
        connection.execute("CREATE TABLE a (id int PRIMARY KEY, name varchar(50))")
        connection.execute("INSERT INTO a VALUES (1, 'one')")
    return Settings(profile=Profile.TEST, url=database, pool=PoolLimits(max=1, min=1))


def change(database: str) -> None:
    """As a migration does it: change, commit, tell."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("ALTER TABLE a ALTER COLUMN name TYPE text")
        connection.execute("SELECT pg_notify(%s, '')", [CHANNEL])


def read(connection: Connection, *, times: int) -> list[str]:
    return [connection.execute(READ, {"id": 1}).one().name for _ in range(times)]


def read_later(connection: Connection) -> list[str]:
    """After another statement of the same transaction."""
    connection.execute(text("SELECT 1"))
    return read(connection, times=8)


@pytest.mark.parametrize("is_returned", [True, False], ids=["returned", "kept"])
def test_a_later_statement(settings: Settings, database: str, is_returned: bool) -> None:
    """Of the next transaction, on a connection from the pool and on one that was never given back."""
    engine = create_engine(settings)
    connection = engine.connect()
    read(connection, times=8)
    connection.commit()
    if is_returned:
        connection.close()
        connection = engine.connect()
    change(database)
    assert read_later(connection) == ["one"] * 8
    connection.close()
    engine.dispose()


def test_a_statement_of_its_own_transaction(settings: Settings, database: str) -> None:
    """In autocommit."""
    engine = create_engine(settings)
    for _ in range(2):
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            read(connection, times=8)
        change(database)
    engine.dispose()


def test_in_an_event_loop(settings: Settings, database: str) -> None:
    """Also after a loan, which makes the session forget that it listens."""

    async def go() -> list[str]:
        engine = create_async_engine(settings)
        async with engine.pool.lend() as driver:  # type: ignore[attr-defined]  # AsyncSizedPool
            await driver.execute("SELECT 1")
        async with engine.connect() as connection:
            await connection.run_sync(read, times=8)
        await asyncio.to_thread(change, database)
        async with engine.connect() as connection:
            names = await connection.run_sync(read_later)
        await engine.dispose()
        return names

    assert asyncio.run(go()) == ["one"] * 8


def test_what_an_application_listens_to_arrives(settings: Settings, database: str) -> None:
    """Nothing of it is swallowed."""
    engine = create_engine(settings)
    with engine.connect() as connection:
        connection.exec_driver_sql("LISTEN own")
        connection.commit()
        with psycopg.connect(database, autocommit=True) as other:
            other.execute("SELECT pg_notify('own', 'told')")
        change(database)
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        told = list(driver.notifies(timeout=5, stop_after=1))
        assert [each.payload for each in told if each.channel == "own"] == ["told"]
    engine.dispose()
