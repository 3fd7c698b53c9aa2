"""A change of a column's type costs no failed request."""

import asyncio
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import DBAPIError, NotSupportedError

from holdfast.engine.create_engine import create_async_engine, create_engine
from holdfast.engine.profiles import Profile
from holdfast.engine.settings import Settings
from holdfast.errors.sqlstate import sqlstate

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


def fail(settings: Settings, statement: str, **options: Any) -> tuple[str | None, str]:
    """The error of a statement, through an engine of ours."""
    engine = create_engine(settings)
    connection = engine.connect().execution_options(**options)
    with connection, pytest.raises(DBAPIError) as raised:
        connection.execute(text(statement))
    engine.dispose()
    return sqlstate(raised.value), str(raised.value.orig).partition("\n")[0]


def address(settings: Settings) -> str:
    assert settings.url is not None
    return settings.url.set(drivername="postgresql").render_as_string(hide_password=False)


def fetch(settings: Settings, query: str) -> Any:
    with psycopg.connect(address(settings)) as connection:
        return connection.execute(query.encode()).fetchall()


RAISES = """
    CREATE TABLE log (a int);
    CREATE PROCEDURE p() LANGUAGE plpgsql AS $$
    BEGIN INSERT INTO log VALUES (1); COMMIT; RAISE EXCEPTION 'not here' USING ERRCODE = '0A000'; END $$;
    CREATE PROCEDURE q() LANGUAGE plpgsql AS $$
    BEGIN INSERT INTO log VALUES (1); COMMIT; EXECUTE 'EXECUTE changed'; END $$
"""


@pytest.mark.parametrize(
    "statement",
    [
        "CALL p()",
        "DO $$ BEGIN INSERT INTO log VALUES (1); COMMIT; CALL p(); END $$",
        "DO $$ BEGIN INSERT INTO log VALUES (1); COMMIT; RAISE SQLSTATE '0A000'; END $$",
    ],
)
def test_nothing_that_took_effect_is_repeated(settings: Settings, statement: str) -> None:
    """Whatever commits inside and fails with 0A000 later, in autocommit: what it did is there once."""
    with psycopg.connect(address(settings), autocommit=True) as connection:
        connection.execute(RAISES)
    assert fail(settings, statement, isolation_level="AUTOCOMMIT")[0] == "0A000"
    rows = fetch(settings, "SELECT a FROM log")
    assert rows == [(1,)] * (1 + statement.startswith("DO") * ("CALL" in statement))


def test_a_plan_that_changed_inside_is_no_reason_to_repeat(settings: Settings) -> None:
    """The very error of a changed plan, from inside a procedure that has committed before."""
    engine = create_engine(settings)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in RAISES.split(";\n    "):
            connection.exec_driver_sql(statement)
        connection.exec_driver_sql("PREPARE changed AS SELECT * FROM a")
        change(settings)
        for statement in ("CALL q()", "EXECUTE changed"):
            with pytest.raises(NotSupportedError, match="cached plan must not change"):
                connection.exec_driver_sql(statement)
        assert connection.scalar(text("SELECT count(*) FROM pg_prepared_statements WHERE from_sql"))
        assert connection.scalar(text("SELECT count(*) FROM log")) == 1
    engine.dispose()


@pytest.mark.parametrize("options", [{}, {"stream_results": True}, {"no_parameters": True}])
def test_another_reason_is_told_as_it_is(settings: Settings, options: dict[str, bool]) -> None:
    """0A000 has many reasons; of a stream as of any other statement the server's own words arrive."""
    found = fail(settings, "SELECT count(*) FROM a FOR UPDATE", **options)
    assert found == ("0A000", "FOR UPDATE is not allowed with aggregate functions")


def test_an_application_s_own_listeners_are_called(settings: Settings) -> None:
    """All of them, of every event of execution, for each statement; one that answers itself is believed."""
    engine, seen = create_engine(settings), []

    @event.listens_for(engine, "do_execute")
    def first(cursor: Any, sql: str, parameters: Any, context: Any) -> None:
        seen.append(f"first {sql}")

    @event.listens_for(engine, "do_execute")
    def second(cursor: Any, sql: str, parameters: Any, context: Any) -> bool:
        if sql == "SELECT 1":
            cursor.execute("SELECT 2")
        seen.append(f"second {sql}")
        return sql == "SELECT 1"

    with engine.connect() as connection:
        seen.clear()
        assert connection.exec_driver_sql("SELECT 1").scalar() == 2
    assert seen == ["first SELECT 1", "second SELECT 1"]
    engine.dispose()
