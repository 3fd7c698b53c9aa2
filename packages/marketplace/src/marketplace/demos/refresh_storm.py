"""A race: many requests refresh one session at once, as of a browser with several tabs.

The two usual ways are written as they are found in the field: a row for each token, found by its digest.
Without a lock each request makes a token of its own. With a compare-and-swap one request wins, the others
present a token that was just spent, which counts as theft: the whole session ends. Ours is the product.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy import URL, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine
from uuid_utils.compat import uuid7

from holdfast import Profile
from holdfast.scratch.server import temporary_server
from marketplace import schema
from marketplace.accounts.clients import Client
from marketplace.accounts.rotation import refresh
from marketplace.accounts.sessions import open_session
from marketplace.accounts.tokens import TokenKeys, digest, unseal
from marketplace.database import Transactions, driver_connection, open_engine, open_short_engine
from marketplace.settings import SessionSettings, sqlalchemy_url

USUAL_TABLE = text("""
    CREATE TABLE refresh_tokens (
        token_hash bytea PRIMARY KEY, session_id uuid NOT NULL, is_revoked boolean NOT NULL DEFAULT false
    )
""")
INSERT = text("INSERT INTO refresh_tokens (token_hash, session_id) VALUES (:hash, :session_id)")
READ = text("SELECT session_id, is_revoked FROM refresh_tokens WHERE token_hash = :hash")
SPEND = text("UPDATE refresh_tokens SET is_revoked = true WHERE token_hash = :hash")
SPEND_ONCE = text(f"{SPEND} AND NOT is_revoked")
END_SESSION = text("UPDATE refresh_tokens SET is_revoked = true WHERE session_id = :session_id")
LIVE_TOKENS = text("""
    SELECT count(*) FROM refresh_tokens WHERE session_id = :session_id AND NOT is_revoked
""")
ADD_USER = text("INSERT INTO users (id, email, password_hash) VALUES (:id, 'a@example.com', '-')")
IS_ALIVE = text("SELECT count(*) FROM sessions WHERE id = :session_id AND NOT is_revoked")
CLIENT = Client(address="192.0.2.1", stored_address="192.0.2.1", user_agent="a browser")

Answer = str | DBAPIError | None  # the new token, a deadlock, or a refusal
Refresh = Callable[[str], Awaitable[Answer]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """The result of all bursts, done in one way."""

    way: str
    answered: int
    refused: int
    failed: int
    most_live_tokens: int
    sessions_lost: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A way to refresh: how it opens a session, refreshes a token, and counts a session's live tokens."""

    name: str
    open: Callable[[], Awaitable[tuple[UUID, str]]]
    refresh: Refresh
    live_tokens: Callable[[UUID, Sequence[Answer]], Awaitable[int]]


def refresh_storm(*, bursts: int, requests: int) -> Iterator[Storm]:
    """Run the race in each way, and give each result as it is done."""
    with temporary_server() as server:
        url = sqlalchemy_url(SecretStr(server.url("postgres")))
        user_id = _prepare(url)
        for number in range(3):
            yield asyncio.run(_run(url, user_id, number, bursts=bursts, requests=requests))


def _prepare(url: URL) -> UUID:
    user_id = uuid7()
    engine = open_short_engine(url, profile=Profile.TEST)
    with engine.connect() as connection:
        schema.upgrade(connection)
    with engine.begin() as connection:
        connection.execute(USUAL_TABLE)
        connection.execute(ADD_USER, {"id": user_id})
    return user_id


async def _run(url: URL, user_id: UUID, number: int, *, bursts: int, requests: int) -> Storm:
    engine = open_engine(url)
    try:
        way = (_unlocked, _compare_and_swap, _ours)[number](engine, user_id)
        return await _storm(way, bursts=bursts, requests=requests)
    finally:
        await engine.dispose()


async def _storm(way: Way, *, bursts: int, requests: int) -> Storm:
    answers: list[Answer] = []
    live: list[int] = []
    for _ in range(bursts):
        session_id, token = await way.open()
        burst = await asyncio.gather(*(_attempt(way, token) for _ in range(requests)))
        answers += burst
        live.append(await way.live_tokens(session_id, burst))
    return Storm(
        way=way.name,
        answered=sum(isinstance(answer, str) for answer in answers),
        refused=answers.count(None),
        failed=sum(isinstance(answer, DBAPIError) for answer in answers),
        most_live_tokens=max(live),
        sessions_lost=live.count(0),
    )


async def _attempt(way: Way, token: str) -> Answer:
    try:
        return await way.refresh(token)
    except DBAPIError as error:
        return error


def _unlocked(engine: AsyncEngine, _: UUID) -> Way:
    return Way(
        name="read, spend, insert",
        open=partial(_open_usual, engine),
        refresh=partial(_refresh_unlocked, engine),
        live_tokens=partial(_count_usual, engine),
    )


def _compare_and_swap(engine: AsyncEngine, _: UUID) -> Way:
    return Way(
        name="compare and swap",
        open=partial(_open_usual, engine),
        refresh=partial(_refresh_by_swap, engine),
        live_tokens=partial(_count_usual, engine),
    )


async def _open_usual(engine: AsyncEngine) -> tuple[UUID, str]:
    session_id, token = uuid7(), secrets.token_urlsafe(32)
    async with engine.begin() as connection:
        await connection.execute(INSERT, {"hash": _digest(token), "session_id": session_id})
    return session_id, token


async def _refresh_unlocked(engine: AsyncEngine, token: str) -> Answer:
    async with engine.begin() as connection:
        row = (await connection.execute(READ, {"hash": _digest(token)})).one()
        if row.is_revoked:
            await connection.execute(END_SESSION, {"session_id": row.session_id})
            return None
        child = secrets.token_urlsafe(32)
        await connection.execute(SPEND, {"hash": _digest(token)})
        await connection.execute(INSERT, {"hash": _digest(child), "session_id": row.session_id})
        return child


async def _refresh_by_swap(engine: AsyncEngine, token: str) -> Answer:
    async with engine.begin() as connection:
        row = (await connection.execute(READ, {"hash": _digest(token)})).one()
        spent = await connection.execute(SPEND_ONCE, {"hash": _digest(token)})
        if spent.rowcount == 0:
            await connection.execute(END_SESSION, {"session_id": row.session_id})
            return None
        child = secrets.token_urlsafe(32)
        await connection.execute(INSERT, {"hash": _digest(child), "session_id": row.session_id})
        return child


async def _count_usual(engine: AsyncEngine, session_id: UUID, _: Sequence[Answer]) -> int:
    async with engine.connect() as connection:
        return await connection.scalar(LIVE_TOKENS, {"session_id": session_id}) or 0


def _ours(engine: AsyncEngine, user_id: UUID) -> Way:
    keys, settings = TokenKeys.of(SecretStr(secrets.token_urlsafe(32))), SessionSettings()

    async def open_ours() -> tuple[UUID, str]:
        opened = await Transactions.on(engine).write(
            open_session, user_id, client=CLIENT, keys=keys, settings=settings
        )
        return opened.session_id, opened.refresh_token

    async def refresh_ours(text: str) -> Answer:
        token = unseal(text, keys=keys)
        if token is None:
            return None
        async with driver_connection(engine) as connection:
            _, refreshed = await refresh(
                connection,
                token,
                presented=digest(text),
                keys=keys,
                settings=settings,
                client=CLIENT,
            )
        return refreshed.refresh_token if refreshed else None

    return Way(
        name="holdfast marketplace",
        open=open_ours,
        refresh=refresh_ours,
        live_tokens=partial(_count_ours, engine),
    )


async def _count_ours(engine: AsyncEngine, session_id: UUID, burst: Sequence[Answer]) -> int:
    """Count the tokens of a live session: as many as were given out, which are all the same or not."""
    async with engine.connect() as connection:
        is_alive = await connection.scalar(IS_ALIVE, {"session_id": session_id})
    return len({token for token in burst if isinstance(token, str)}) if is_alive else 0


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
