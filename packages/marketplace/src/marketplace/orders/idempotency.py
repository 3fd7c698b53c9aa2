"""Makes requests safe to repeat: the answer is stored by the request's own transaction.

draft-ietf-httpapi-idempotency-key-header-07. An answer is kept for a day. Only what was committed is
kept: a request that failed did nothing, and its key may be used again.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import Header

from marketplace.database import Connection
from marketplace.orders.problems import (
    IdempotencyKeyMissing,
    IdempotencyKeyReused,
    RequestInFlight,
)

KEPT = timedelta(days=1)
KEY = re.compile(r"[\x20-\x7e]{1,255}")

# A row, always. The snapshot is older than the lock: an owner who commits and leaves in between is not seen.
# Whoever then cannot do the work asks once more: the lock can be taken again, and that look is younger than it.
CLAIM = """
    SELECT claimed, now(), known.fingerprint, known.status, known.response
    FROM pg_try_advisory_xact_lock(hashtextextended(%s, 0)) AS claimed
      LEFT JOIN idempotency_keys AS known
      ON known.user_id = %s AND known.key = %s AND known.expires_at > now()
"""

# The same. Whoever then has the key for itself has waited until no other request of this user is at work: of two at
# once the second sees what the first has done. One that is in flight, or was answered, does not wait.
CLAIM_IN_TURN = """
    SELECT claimed, now(), known.fingerprint, known.status, known.response,
           CASE WHEN claimed AND known.fingerprint IS NULL
                THEN pg_advisory_xact_lock(hashtextextended('orders of ' || %s::uuid, 0)) END
    FROM pg_try_advisory_xact_lock(hashtextextended(%s, 0)) AS claimed
      LEFT JOIN idempotency_keys AS known
      ON known.user_id = %s AND known.key = %s AND known.expires_at > now()
"""

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="1 to 255 printable ASCII characters; required. The answer is kept for a day.",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedRequest:
    """A request that may come more than once."""

    user_id: UUID
    key: str
    method: str
    path: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """The answer that the first request got."""

    status: int
    response: dict[str, Any]


def keyed(user_id: UUID, *, key: str | None, method: str, path: str, body: str) -> KeyedRequest:
    """Read the key and body of a request; `body` in its canonical form. Raises `IdempotencyKeyMissing`."""
    if key is None or not KEY.fullmatch(key):
        raise IdempotencyKeyMissing
    return KeyedRequest(
        user_id=user_id,
        key=key,
        method=method,
        path=path,
        fingerprint=hashlib.sha256(f"{method}\n{path}\n{body}".encode()).digest(),
    )


async def claim(connection: Connection, request: KeyedRequest) -> Replay | datetime:
    """Claim the key for this transaction, and give the database's clock; or give the earlier answer.

    Raises `RequestInFlight` at once, never waits; raises `IdempotencyKeyReused`.
    """
    values = (f"{request.user_id} {request.key}", request.user_id, request.key)
    async with connection.pipeline():  # with the BEGIN, in one go
        cursor = await connection.execute(CLAIM, values)
    return _claimed(await cursor.fetchone(), request)


async def claim_in_turn(connection: Connection, request: KeyedRequest) -> Replay | datetime:
    """Claim as `claim` does; a new request waits until it is the only one of its user."""
    user_id = request.user_id
    values = (user_id, f"{user_id} {request.key}", user_id, request.key)
    async with connection.pipeline():
        cursor = await connection.execute(CLAIM_IN_TURN, values)
    return _claimed(await cursor.fetchone(), request)


def _claimed(row: tuple[Any, ...] | None, request: KeyedRequest) -> Replay | datetime:
    assert row is not None  # noqa: S101  # a LEFT JOIN of one row
    is_ours, now, fingerprint, status, response, *_ = row
    if not is_ours:
        raise RequestInFlight
    if fingerprint is None:
        moment: datetime = now
        return moment
    if fingerprint != request.fingerprint:
        raise IdempotencyKeyReused
    return Replay(status=status, response=response)
