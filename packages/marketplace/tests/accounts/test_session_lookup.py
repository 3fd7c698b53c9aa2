"""Looking sessions up: shared statements, and nobody's answer is another's."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from uuid import uuid4

import pytest
from seeded import build
from session_races import FAR, World, open_world
from sqlalchemy import Engine, make_url

from marketplace.accounts.session_lookup import SessionLookup, find_principals
from marketplace.accounts.tokens import AccessToken
from marketplace.database import Connection, driver_connection, open_engine

PLANS = """
    SELECT custom_plans FROM pg_prepared_statements
    WHERE statement LIKE '%FROM sessions JOIN users%' AND name <> ''
"""


class Gate:
    """Connections for one look-up at a time, counted, and held back until it is opened."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.is_asked, self.is_open = asyncio.Event(), asyncio.Event()
        self.taken = 0

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Connection]:
        self.taken += 1
        self.is_asked.set()
        await self.is_open.wait()
        async with driver_connection(self._world.engine) as connection:
            yield connection


def token_of(session_id: object, *, expires_at: int = FAR) -> AccessToken:
    return AccessToken(session_id=session_id, user_id=session_id, expires_at=expires_at)  # type: ignore[arg-type]  # a UUID


def test_requests_that_wait_share_a_statement(migrated: Engine) -> None:
    """Each gets the answer about its own session."""

    async def share() -> None:
        async with open_world(migrated.url) as world:
            gate = Gate(world)
            lookup = SessionLookup(gate.connect)
            opened = [await world.open() for _ in range(3)]
            asked = [token_of(one.session_id) for one in (*opened, opened[0])]
            finds = [asyncio.create_task(lookup.find(token)) for token in asked]
            gone = asyncio.create_task(lookup.find(token_of(world.user_id)))
            await asyncio.sleep(0)
            gate.is_open.set()
            found = await asyncio.gather(*finds)
            assert [one.session_id for one in found if one] == [t.session_id for t in asked]
            assert await gone is None
            assert gate.taken == 1

    asyncio.run(share())


def test_a_revocation_is_seen_by_whoever_asks_after_it(migrated: Engine) -> None:
    """Also while an older statement is still under way: the next one answers."""

    async def revoke() -> None:
        async with open_world(migrated.url) as world:
            gate = Gate(world)
            lookup = SessionLookup(gate.connect)
            opened = await world.open()
            before = asyncio.create_task(lookup.find(token_of(opened.session_id)))
            await gate.is_asked.wait()
            await world.log_out_everywhere(opened)
            after = asyncio.create_task(lookup.find(token_of(opened.session_id)))
            gate.is_open.set()
            await before
            assert await after is None
            assert gate.taken == 2

    asyncio.run(revoke())


def test_it_is_planned_once(database_from: Callable[[str, Callable[[str], None]], str]) -> None:
    """One session or several: the server keeps to the plan of the prepared statement."""

    async def look_up(url: str) -> list[int]:
        engine = open_engine(make_url(url))
        async with driver_connection(engine) as connection:
            for number in range(20):
                await find_principals(connection, [uuid4()] * (1 + number % 3))
            plans = await (await connection.execute(PLANS)).fetchall()
        await engine.dispose()
        return [custom for (custom,) in plans]

    # PostgreSQL plans the first five as they come before it decides.
    assert asyncio.run(look_up(database_from("seeded", partial(build, products=2_000)))) == [5]


def test_an_error_is_everybodys_and_the_next_is_tried(migrated: Engine) -> None:
    """Nobody waits for ever; a request that went away does not disturb the others."""

    async def fail() -> None:
        async with open_world(migrated.url) as world:
            opened = await world.open()
            is_down = True

            @asynccontextmanager
            async def connect() -> AsyncIterator[Connection]:
                await asyncio.sleep(0)
                if is_down:
                    raise ConnectionError("down")
                async with driver_connection(world.engine) as connection:
                    yield connection

            lookup = SessionLookup(connect)
            token = token_of(opened.session_id)
            finds = [asyncio.create_task(lookup.find(token)) for _ in range(3)]
            await asyncio.sleep(0)
            finds[0].cancel()
            answers = await asyncio.gather(*finds, return_exceptions=True)
            assert [type(answer) for answer in answers] == [
                asyncio.CancelledError,
                ConnectionError,
                ConnectionError,
            ]
            is_down = False
            assert await lookup.find(token) is not None

    asyncio.run(fail())


@pytest.mark.parametrize(("seconds", "is_found"), [(-1, False), (60, True)])
def test_the_end_of_a_token_is_the_databases_to_say(
    migrated: Engine, seconds: int, is_found: bool
) -> None:
    """By the clock that it was issued by."""

    async def expire() -> None:
        async with open_world(migrated.url) as world:
            opened = await world.open()
            lookup = SessionLookup(partial(driver_connection, world.engine))
            found = await lookup.find(token_of(opened.session_id, expires_at=opened.now + seconds))
            assert (found is not None) is is_found

    asyncio.run(expire())
