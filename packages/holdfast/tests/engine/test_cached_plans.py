"""A change of a column's type costs no failed request."""

import asyncio

import psycopg
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import NotSupportedError

from holdfast.engine.create_engine import create_async_engine, create_engine
from holdfast.engine.profiles import Profile
from holdfast.engine.settings import Settings

READ = text("SELECT * FROM a WHERE id = :id")


@pytest.fixture
def settings(database: str) -> Settings:
    """A table whose readers have it prepared; the type of `name` is about to change."""
    with psycopg.connect(database) as connection:
        connection.execute("CREATE TABLE a (id int PRIMARY KEY, name varchar(50))")
        connection.execute("INSERT INTO a VALUES (1, 'one')")
    return Settings(profile=Profile.TEST, url=database)


def change(settings: Settings) -> None:
    engine = create_engine(settings)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE a ALTER COLUMN name TYPE text"))
    engine.dispose()


def read(connection: Connection, *, times: int) -> list[str]:
    return [connection.execute(READ, {"id": 1}).one().name for _ in range(times)]


def test_the_first_statement_of_a_transaction(settings: Settings) -> None:
    """Prepared before, changed, then read again on the same connection: no error."""
    engine = create_engine(settings)
    with engine.connect() as connection:
        read(connection, times=8)
        connection.commit()
        change(settings)
        assert read(connection, times=8) == ["one"] * 8
    engine.dispose()


def test_in_autocommit(settings: Settings) -> None:
    """Every statement is the first of its transaction."""
    engine = create_engine(settings)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        read(connection, times=8)
        change(settings)
        assert read(connection, times=8) == ["one"] * 8
    engine.dispose()


def test_in_an_event_loop(settings: Settings) -> None:
    """The same through the asynchronous engine."""

    async def go() -> list[str]:
        engine = create_async_engine(settings)
        async with engine.connect() as connection:
            await connection.run_sync(read, times=8)
            await connection.commit()
            await asyncio.to_thread(change, settings)
            names = await connection.run_sync(read, times=8)
        await engine.dispose()
        return names

    assert asyncio.run(go()) == ["one"] * 8


def test_a_transaction_that_has_done_something_is_not_repeated(settings: Settings) -> None:
    """Its first part would be lost: the error stays, and the next transaction is healed."""
    engine = create_engine(settings)
    with engine.connect() as connection:
        read(connection, times=8)
        connection.commit()
        connection.execute(text("SELECT 1"))
        change(settings)
        with pytest.raises(NotSupportedError):
            read(connection, times=1)
        connection.rollback()
        assert read(connection, times=8) == ["one"] * 8
    engine.dispose()
