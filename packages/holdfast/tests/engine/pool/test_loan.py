"""State never reaches the next borrower, whatever it is that `lend` was used to set."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from backends import wait_until
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis.strategies import lists, sampled_from
from pools import PID, pool_of
from psycopg import IsolationLevel
from psycopg.rows import dict_row
from psycopg.types import TypeInfo
from psycopg.types.string import TextLoader
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from holdfast.engine.create_engine import create_async_engine
from holdfast.engine.pool.driver_state import DriverState
from holdfast.engine.pool.places import Figures
from holdfast.engine.pool.sized import AsyncSizedPool
from holdfast.engine.settings import Settings

Leave = Callable[[Any], Awaitable[object]]
AsyncEngines = Callable[..., AsyncEngine]

ONE_IDLE = Figures(maximum=1, idle=1, used=0, connecting=0, waiting=0)
# All that a session remembers, as far as the server shows it; one row.
SESSION = """
    SELECT current_user::text, session_user::text, current_setting('search_path'),
           current_setting('work_mem'), coalesce(current_setting('shop.tenant', true), ''),
           current_setting('transaction_read_only'), current_setting('transaction_isolation'),
           ARRAY(SELECT pg_listening_channels()),
           (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()),
           (SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()),
           (SELECT count(*) FROM pg_prepared_statements WHERE from_sql),
           (SELECT count(*) FROM pg_cursors WHERE is_holdable)
"""
STATEMENTS = (
    "SET ROLE pg_monitor",
    "SET SESSION AUTHORIZATION pg_monitor",
    "SET search_path TO pg_catalog",
    "SELECT set_config('work_mem', '1MB', false)",
    "SET shop.tenant = 'somebody'",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "SET default_transaction_isolation = 'serializable'",
    "LISTEN news",
    "SELECT pg_advisory_lock(1)",
    "CREATE TEMPORARY TABLE mine (id int)",
    "PREPARE mine AS SELECT 1",
    "DECLARE mine CURSOR WITH HOLD FOR SELECT 1",
)


async def own_attribute(driver: Any) -> None:
    driver.mine = 1


async def row_factory(driver: Any) -> None:
    driver.row_factory = dict_row


async def cursor_factory(driver: Any) -> None:
    driver.cursor_factory = psycopg.AsyncRawCursor


async def server_cursor_factory(driver: Any) -> None:
    driver.server_cursor_factory = psycopg.AsyncRawServerCursor


async def prepare_threshold(driver: Any) -> None:
    driver.prepare_threshold = None


async def prepared_max(driver: Any) -> None:
    driver.prepared_max = 1


async def notice_handler(driver: Any) -> None:
    driver.add_notice_handler(print)


async def no_notice_handlers(driver: Any) -> None:
    driver._notice_handlers.clear()


async def notify_handler(driver: Any) -> None:
    driver.add_notify_handler(print)


async def unread_notification(driver: Any) -> None:
    await driver.set_autocommit(True)
    await driver.execute("LISTEN news")
    await driver.execute("NOTIFY news")
    await driver.execute("UNLISTEN news")
    await driver.set_autocommit(False)


async def loader(driver: Any) -> None:
    driver.adapters.register_loader("int4", TextLoader)


async def dumper(driver: Any) -> None:
    driver.adapters.register_dumper(int, psycopg.types.string.StrDumper)


async def type_info(driver: Any) -> None:
    driver.adapters.types.add(TypeInfo("mine", 1, 2))


async def other_method(driver: Any) -> None:
    driver.execute = None


async def notices_elsewhere(driver: Any) -> None:
    driver.pgconn.notice_handler = None


async def autocommit(driver: Any) -> None:
    await driver.set_autocommit(True)


async def isolation_level(driver: Any) -> None:
    await driver.set_isolation_level(IsolationLevel.SERIALIZABLE)


async def read_only(driver: Any) -> None:
    await driver.set_read_only(True)


async def deferrable(driver: Any) -> None:
    await driver.set_deferrable(True)


async def transaction(driver: Any) -> None:
    await driver.execute("SELECT 1")


async def failed_transaction(driver: Any) -> None:
    await driver.execute("SELECT 1 / 0")


ON_THE_DRIVER: tuple[Leave, ...] = (
    own_attribute,
    row_factory,
    cursor_factory,
    server_cursor_factory,
    prepare_threshold,
    prepared_max,
    notice_handler,
    no_notice_handlers,
    notify_handler,
    unread_notification,
    loader,
    dumper,
    type_info,
    other_method,
    notices_elsewhere,
    autocommit,
    isolation_level,
    read_only,
    deferrable,
    transaction,
    failed_transaction,
)


def executing(statement: str) -> Leave:
    async def leave(driver: Any) -> None:
        await driver.execute(statement)
        await driver.commit()

    return leave


def lender_of(engine: AsyncEngine) -> AsyncSizedPool:
    pool = engine.sync_engine.pool
    assert isinstance(pool, AsyncSizedPool)
    return pool


async def until_returned(engine: AsyncEngine) -> None:
    pool = pool_of(engine.sync_engine)

    def is_returned() -> bool:
        return pool.figures().used + pool.figures().connecting == 0

    await asyncio.to_thread(wait_until, is_returned, what="the return")


async def borrow(engine: AsyncEngine, leave: Leave) -> None:
    with suppress(Exception):
        async with lender_of(engine).lend() as driver:
            await leave(driver)
    await until_returned(engine)


async def seen(engine: AsyncEngine) -> list[Any]:
    """The session of the next borrower, read as SQLAlchemy reads it."""
    async with engine.connect() as connection:
        return list((await connection.execute(text(SESSION))).one())


@pytest.mark.parametrize("leave", ON_THE_DRIVER, ids=lambda leave: leave.__name__)
def test_a_changed_driver_is_not_lent_again(async_engine: AsyncEngines, leave: Leave) -> None:
    """Whatever attribute, handler, adapter or mode was set: that connection is closed."""

    async def go() -> tuple[int, int, bool]:
        engine = async_engine(max=1, min=0)
        async with lender_of(engine).lend() as driver:
            before = driver.info.backend_pid
        await until_returned(engine)
        await borrow(engine, leave)
        async with lender_of(engine).lend() as driver:
            after, row = (
                driver.info.backend_pid,
                await (await driver.execute("SELECT 7")).fetchone(),
            )
            await driver.rollback()
        await engine.dispose()
        return before, after, row == (7,)

    before, after, is_row = asyncio.run(go())
    assert before != after
    assert is_row


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_session_is_reset(async_engine: AsyncEngines, statement: str) -> None:
    """Whatever statement has set it: the same connection, as it was."""

    async def go() -> None:
        engine = async_engine(max=1, min=0)
        before = await seen(engine)
        await borrow(engine, executing(statement))
        async with engine.connect() as connection:
            pid = await connection.scalar(PID)
        assert await seen(engine) == before
        async with engine.connect() as connection:
            assert await connection.scalar(PID) == pid
        assert pool_of(engine.sync_engine).figures() == ONE_IDLE
        await engine.dispose()

    asyncio.run(go())


@hypothesis_settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(left=lists(sampled_from((*STATEMENTS, *ON_THE_DRIVER)), max_size=5))
def test_in_any_combination(async_engine: AsyncEngines, left: list[str | Leave]) -> None:
    """One after the other or all by the same borrower: the next one sees what the first one saw."""

    async def go() -> None:
        engine = async_engine(max=2, min=0)
        before = await seen(engine)

        async def all_of_them(driver: Any) -> None:
            for each in left:
                with suppress(Exception):  # what one has left fails the next
                    await (executing(each) if isinstance(each, str) else each)(driver)

        await borrow(engine, all_of_them)
        assert await seen(engine) == before
        for each in left:
            await borrow(engine, executing(each) if isinstance(each, str) else each)
            assert await seen(engine) == before
        await engine.dispose()

    asyncio.run(go())


def test_all_that_psycopg_lets_one_set_is_looked_at(database: str) -> None:
    """Every attribute that its connection has, and every property that can be assigned."""

    async def go() -> None:
        connection = await psycopg.AsyncConnection.connect(database)
        for name in vars(connection):
            before = DriverState.of(connection)
            value = getattr(connection, name)
            if name in (
                "pgconn",
                "_begin_statement",
                "_notice_handlers",
                "_notify_handlers",
                "_prepared",
            ):
                continue  # looked into, not replaced
            setattr(connection, name, object() if name != "_notifies_backlog" else [1])
            assert name in ("_adapters",) or not before.is_still(connection), name
            setattr(connection, name, value)
            assert before.is_still(connection), name
        await connection.close()

    asyncio.run(go())


def test_what_connect_listeners_have_set_stays(settings: Callable[..., Settings]) -> None:
    """A search_path and a role that the application gives every connection are there after a loan, too."""

    async def go() -> list[Any]:
        engine = create_async_engine(settings(max=1, min=0))

        @event.listens_for(engine.sync_engine, "connect")
        def set_path(connection: Any, _: Any) -> None:
            connection.autocommit = True
            connection.cursor().execute("SET search_path TO shop, public")
            connection.cursor().execute("SET ROLE pg_monitor")
            connection.autocommit = False

        await borrow(engine, executing("SET search_path TO nowhere"))
        found = await seen(engine)
        await engine.dispose()
        return found[:3]

    assert asyncio.run(go()) == ["pg_monitor", "postgres", "shop, public"]


def test_prepared_statements_work_after_a_loan(async_engine: AsyncEngines) -> None:
    """psycopg knows that the server has forgotten them."""

    async def go() -> None:
        engine = async_engine(max=1, min=0)
        for _ in range(3):
            async with lender_of(engine).lend() as driver:
                for _ in range(8):
                    await driver.execute("SELECT %s::int", [1])
                await driver.commit()
            await until_returned(engine)
        assert pool_of(engine.sync_engine).figures() == ONE_IDLE
        await engine.dispose()

    asyncio.run(go())


def test_lent_as_it_is_costs_no_round_trip(async_engine: AsyncEngines) -> None:
    """It is in the pool at once; what the driver knows is looked at all the same."""

    async def go() -> None:
        engine = async_engine(max=1, min=0)
        async with engine.connect():
            pass
        async with lender_of(engine).lend_as_it_is() as driver:
            pid = driver.info.backend_pid
        assert pool_of(engine.sync_engine).figures() == ONE_IDLE
        async with lender_of(engine).lend_as_it_is() as driver:
            assert driver.info.backend_pid == pid
            driver.row_factory = dict_row
        assert pool_of(engine.sync_engine).figures().idle == 0
        await engine.dispose()

    asyncio.run(go())
