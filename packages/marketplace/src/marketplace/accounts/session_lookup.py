"""Looks up the session of every request in the database, a few at a time.

Requests that come in while one statement is under way share the next one. This is no cache: the
statement that answers a request always begins after the request has come. Under load it is a fraction
of the work, and one connection instead of one for each request.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import UUID

from psycopg import AsyncCursor

from marketplace.accounts.principal import Principal
from marketplace.accounts.tokens import AccessToken
from marketplace.database import Connection
from marketplace.entities import Role
from marketplace.placement import Placement

MOST_AT_ONCE = 100
# A row: a session that lives, and its user, who is not disabled. The subquery hides from the planner how
# many are asked for. For a few it would make a plan of their own each time, as cheaper than the prepared
# one, and planning takes several times as long as the look-up.
LOOKUP = """
    SELECT sessions.id, users.id, users.role, users.vendor_id, sessions.authenticated_at, now(),
           users.has_second_factor
    FROM sessions JOIN users ON users.id = sessions.user_id
    WHERE sessions.id = ANY(ARRAY(SELECT unnest(%s::uuid[])))
      AND NOT sessions.is_revoked AND sessions.expires_at > now() AND users.disabled_at IS NULL
"""


# The same where sessions are divided by user: only the servers are asked on which one of these users is.
LOOKUP_PLACED = LOOKUP.replace(
    "WHERE sessions.id = ANY(ARRAY(SELECT unnest(%s::uuid[])))",
    "WHERE sessions.user_id = ANY(%s::uuid[]) AND sessions.id = ANY(%s::uuid[])",
)


class SessionLookup:
    """The look-ups of one event loop."""

    def __init__(
        self,
        connect: Callable[[], AbstractAsyncContextManager[Connection]],
        *,
        placement: Placement = Placement.ONE_SERVER,
    ) -> None:
        self._connect = connect
        self._placement = placement
        self._waiting: list[tuple[AccessToken, asyncio.Future[Principal | None]]] = []
        self._runner: asyncio.Task[None] | None = None

    async def find(self, token: AccessToken) -> Principal | None:
        """Find the session's user; None if it has ended, its user is disabled, or the token has expired."""
        answer: asyncio.Future[Principal | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((token, answer))
        if self._runner is None:
            self._runner = asyncio.create_task(self._run())
        principal = await answer
        if principal is None or principal.seen_at.timestamp() >= token.expires_at:
            return None
        return principal

    async def _run(self) -> None:
        while self._waiting:
            batch = self._waiting[:MOST_AT_ONCE]
            del self._waiting[:MOST_AT_ONCE]
            await self._answer(batch)
        self._runner = None

    async def _answer(
        self, batch: Sequence[tuple[AccessToken, asyncio.Future[Principal | None]]]
    ) -> None:
        try:
            async with self._connect() as connection:
                found = await self._find(connection, [token for token, _ in batch])
        except Exception as error:  # noqa: BLE001  # whoever asked gets it
            for _, answer in batch:
                if not answer.done():
                    answer.set_exception(error)
            return
        for token, answer in batch:
            if not answer.done():  # a request may have been cancelled meanwhile
                answer.set_result(found.get(token.session_id))

    async def _find(
        self, connection: Connection, tokens: Sequence[AccessToken]
    ) -> dict[UUID, Principal]:
        session_ids = [token.session_id for token in tokens]
        if self._placement is Placement.ONE_SERVER:
            return await find_principals(connection, session_ids)
        users = list({token.user_id for token in tokens})
        return await _principals(await connection.execute(LOOKUP_PLACED, (users, session_ids)))


async def find_principals(
    connection: Connection, session_ids: Sequence[UUID]
) -> dict[UUID, Principal]:
    """Find the sessions that are alive, with one statement by primary keys."""
    return await _principals(await connection.execute(LOOKUP, (session_ids,)))


async def _principals(cursor: AsyncCursor[tuple[Any, ...]]) -> dict[UUID, Principal]:
    return {
        session_id: Principal(
            user_id=user_id,
            session_id=session_id,
            role=Role(role),
            vendor_id=vendor_id,
            authenticated_at=authenticated_at,
            seen_at=seen_at,
            has_second_factor=has_second_factor,
        )
        for (
            session_id,
            user_id,
            role,
            vendor_id,
            authenticated_at,
            seen_at,
            has_second_factor,
        ) in await cursor.fetchall()
    }
