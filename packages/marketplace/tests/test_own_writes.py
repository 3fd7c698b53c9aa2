"""Pages may come from a standby, and never show a client less than what it has written itself."""

import asyncio
from collections.abc import Iterator
from typing import Annotated

import httpx
import psycopg
import pytest
from fastapi import Depends, FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from standby import Pair, streaming_pair

from holdfast import AsyncDatabase, Profile, Settings
from holdfast.application.own_writes import COOKIE, KeepOwnWrites, reading_of
from marketplace.database import Connection, Transactions

PAGES = ("orders", "products", "users")
SEEN = "SELECT pg_is_in_recovery(), (SELECT count(*) FROM orders)"


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """A primary and its standby, with a table."""
    with streaming_pair() as pair:
        with psycopg.connect(pair.primary.url()) as connection:
            connection.execute("CREATE TABLE orders (n int)")
        pair.wait_for_replay()
        yield pair


def shop(database: AsyncDatabase) -> FastAPI:
    """Two routes: one that writes, two that read a page."""
    transactions = Transactions.on(database.engine, database=database)

    async def written(_: object) -> str:
        return await database.written()

    app = FastAPI()
    app.add_middleware(KeepOwnWrites, written=written)

    @app.post("/orders")
    async def order() -> None:
        async def work(session: AsyncSession) -> None:
            await session.execute(text("INSERT INTO orders VALUES (1)"))

        await transactions.write(work)

    @app.get("/orders")
    async def orders() -> list[object]:
        async def work(session: AsyncSession) -> list[object]:
            return list((await session.execute(text(SEEN))).one())

        return await transactions.read_page(work)

    @app.get("/users")
    async def users(
        session: Annotated[AsyncSession, Depends(reading_of(database))],
    ) -> list[object]:
        return list((await session.execute(text(SEEN))).one())

    @app.get("/products")
    async def products() -> list[object]:
        async def work(connection: Connection) -> list[object]:
            found = await (await connection.execute(SEEN)).fetchone()
            return list(found or ())

        return await transactions.read_page_on_driver(work)

    return app


def test_a_page_has_what_its_client_has_written(pair: Pair) -> None:
    """From the standby for whoever has written nothing, from the primary until the standby has the rest."""

    async def visit() -> list[object]:
        database = AsyncDatabase(
            Settings(profile=Profile.TEST, url=pair.primary.url(), read_url=pair.standby.url())
        )
        transport = httpx.ASGITransport(shop(database))
        async with (
            httpx.AsyncClient(transport=transport, base_url="https://shop") as writer,
            httpx.AsyncClient(transport=transport, base_url="https://shop") as reader,
        ):
            found = [(await reader.get(f"/{page}")).json() for page in PAGES]
            with psycopg.connect(pair.standby.url(), autocommit=True) as standby:
                standby.execute("SELECT pg_wal_replay_pause()")
                answer = await writer.post("/orders")
                assert COOKIE in answer.cookies
                found += [(await writer.get(f"/{page}")).json() for page in PAGES]
                found.append((await reader.get("/orders")).json())
                standby.execute("SELECT pg_wal_replay_resume()")
            pair.wait_for_replay()
            found.append((await writer.get("/products")).json())
        await database.stop()
        return found

    assert asyncio.run(visit()) == [
        *([True, 0], [True, 0], [True, 0]),  # nobody has written
        *([False, 1], [False, 1], [False, 1]),  # the writer
        [True, 0],  # somebody else
        [True, 1],  # the writer, once the standby has it
    ]
