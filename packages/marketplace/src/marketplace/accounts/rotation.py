"""Refresh: the current token is exchanged for its one successor, however often that is asked.

Usually one statement. Only when it changes nothing the row is read, and `judge` says why. No lock is
waited for twice: of twenty that come together one rotates, the others read what it wrote.
"""

import enum
import hmac
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from marketplace.accounts.clients import Client
from marketplace.accounts.tokens import (
    RefreshToken,
    TokenKeys,
    digest,
    new_nonce,
    seal,
    successor,
)
from marketplace.database import Connection
from marketplace.placement import Placement
from marketplace.settings import SessionSettings

# A row: the session was rotated, and it is on record. What is compared before it is set is the CAS:
# a second rotation, a revocation, an expiry each leave nothing to update. `before` is only read to
# tell whether the client has changed.
ROTATE = """
    WITH before AS MATERIALIZED (
        SELECT id, user_agent, ip_address FROM sessions WHERE id = %(id)s
    ), rotated AS (
        UPDATE sessions SET
            refresh_token_hash = %(successor)s, previous_token_hash = refresh_token_hash,
            generation = generation + 1, rotation_nonce = %(nonce)s, rotated_at = now(),
            last_used_at = now(), expires_at = least(now() + %(idle)s, absolute_expires_at),
            user_agent = %(user_agent)s, ip_address = %(ip_address)s
        FROM before
        WHERE sessions.id = before.id AND generation = %(generation)s
          AND refresh_token_hash = %(presented)s AND NOT is_revoked AND expires_at > now()
        RETURNING sessions.id, user_id, expires_at,
            (before.user_agent, before.ip_address)
                IS DISTINCT FROM (sessions.user_agent, sessions.ip_address) AS is_elsewhere
    ), recorded AS (
        INSERT INTO audit_events (action, user_id, session_id, token_digest)
        SELECT CASE WHEN is_elsewhere THEN 'session.client_changed' ELSE 'session.refreshed' END,
               user_id, id, %(shown)s
        FROM rotated
    )
    SELECT user_id, extract(epoch FROM now())::bigint,
           ceil(extract(epoch FROM expires_at - now()))::int
    FROM rotated
"""
# The session as it is now, whatever state it is in.
FIND = """
    SELECT generation, refresh_token_hash, previous_token_hash, rotation_nonce,
           is_revoked OR expires_at <= now(), rotated_at > now() - %(grace)s,
           user_id, extract(epoch FROM now())::bigint,
           ceil(extract(epoch FROM expires_at - now()))::int
    FROM sessions WHERE id = %(id)s
"""
# Committed as it returns: the refusal that follows cannot undo it.
REVOKE_REUSED = """
    WITH revoked AS (
        UPDATE sessions
        SET is_revoked = true, revoked_at = now(), revoked_reason = 'reuse_detected'
        WHERE id = %(id)s AND NOT is_revoked
        RETURNING id, user_id
    )
    INSERT INTO audit_events (action, user_id, session_id, token_digest)
    SELECT 'session.reuse_detected', user_id, id, %(shown)s FROM revoked
"""

# Where sessions are divided by user: a token of before says no owner yet, so every server is asked, once.
OWNER = "SELECT user_id FROM sessions WHERE id = %s"
OF_USER = "user_id = %(user_id)s AND "
ROTATE_PLACED = ROTATE.replace(
    "FROM sessions WHERE id", f"FROM sessions WHERE {OF_USER}id"
).replace("WHERE sessions.id = before.id", f"WHERE sessions.{OF_USER}sessions.id = before.id")
FIND_PLACED = FIND.replace("WHERE id", f"WHERE {OF_USER}id")
REVOKE_REUSED_PLACED = REVOKE_REUSED.replace("WHERE id", f"WHERE {OF_USER}id")


class Outcome(enum.StrEnum):
    """How a refresh ended."""

    REFRESHED = "refreshed"
    REPLAYED = "replayed"  # a retry: the successor once more, nothing written
    REUSE_DETECTED = "reuse_detected"  # a spent token: the session is revoked
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The state of a token's session, which decides about the token."""

    generation: int
    token_hash: bytes
    previous_hash: bytes | None
    has_ended: bool
    is_in_grace: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """A refresh that succeeded. `now` is the database's, in seconds since 1970."""

    session_id: UUID
    user_id: UUID
    refresh_token: str
    refresh_expires_in: int
    now: int


def judge(token: RefreshToken, *, presented: bytes, found: Found | None) -> Outcome:
    """Say what a token is that could not be rotated; `presented` is its digest.

    A generation that is yet to come is possible after a restore of the database: refused, no more.
    """
    if found is None or found.has_ended or token.generation >= found.generation:
        return Outcome.REFUSED
    is_parent = (
        token.generation == found.generation - 1
        and found.previous_hash is not None
        and hmac.compare_digest(presented, found.previous_hash)
    )
    return Outcome.REPLAYED if is_parent and found.is_in_grace else Outcome.REUSE_DETECTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Statements:
    """The statements that rotate, find and revoke, wherever the sessions are."""

    rotate: str
    find: str
    revoke_reused: str


STATEMENTS = {
    Placement.ONE_SERVER: Statements(rotate=ROTATE, find=FIND, revoke_reused=REVOKE_REUSED),
    Placement.BY_USER: Statements(
        rotate=ROTATE_PLACED, find=FIND_PLACED, revoke_reused=REVOKE_REUSED_PLACED
    ),
}


async def refresh(
    connection: Connection,
    token: RefreshToken,
    *,
    presented: bytes,
    keys: TokenKeys,
    settings: SessionSettings,
    client: Client,
    placement: Placement = Placement.ONE_SERVER,
) -> tuple[Outcome, Refreshed | None]:
    """Give the successor, unless the token is refused or was spent. `connection` is in autocommit.

    `presented` is the digest of the token, as the client has it.
    """
    statements = STATEMENTS[placement]
    if placement is Placement.BY_USER and token.user_id is None:
        token = await _with_owner(connection, token)
    rotated = await _rotate(
        connection,
        token,
        statement=statements.rotate,
        presented=presented,
        keys=keys,
        settings=settings,
        client=client,
    )
    if rotated:
        return Outcome.REFRESHED, rotated
    about = {"id": token.session_id, "user_id": token.user_id}
    cursor = await connection.execute(statements.find, {**about, "grace": settings.grace})
    row = await cursor.fetchone()
    outcome = judge(token, presented=presented, found=_found(row))
    if outcome is Outcome.REUSE_DETECTED:
        await connection.execute(statements.revoke_reused, {**about, "shown": presented.hex()[:8]})
    if outcome is not Outcome.REPLAYED or row is None:
        return outcome, None
    replayed = _replay(token, row=row, keys=keys)
    return (outcome, replayed) if replayed else (Outcome.REFUSED, None)


async def _with_owner(connection: Connection, token: RefreshToken) -> RefreshToken:
    """Give the token with its owner in it; unchanged if there is no such session."""
    row = await (await connection.execute(OWNER, [token.session_id])).fetchone()
    return token if row is None else replace(token, user_id=row[0])


async def _rotate(
    connection: Connection,
    token: RefreshToken,
    *,
    statement: str,
    presented: bytes,
    keys: TokenKeys,
    settings: SessionSettings,
    client: Client,
) -> Refreshed | None:
    nonce = new_nonce()
    child = seal(successor(token, nonce=nonce, keys=keys), keys=keys)
    cursor = await connection.execute(
        statement,
        {
            "id": token.session_id,
            "user_id": token.user_id,
            "generation": token.generation,
            "presented": presented,
            "successor": digest(child),
            "nonce": nonce,
            "idle": settings.idle,
            "user_agent": client.user_agent,
            "ip_address": client.stored_address,
            "shown": presented.hex()[:8],
        },
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    user_id, now, refresh_expires_in = row
    return Refreshed(
        session_id=token.session_id,
        user_id=user_id,
        refresh_token=child,
        refresh_expires_in=refresh_expires_in,
        now=now,
    )


def _found(row: tuple[Any, ...] | None) -> Found | None:
    if row is None:
        return None
    generation, token_hash, previous_hash, _, has_ended, is_in_grace, *_ = row
    return Found(
        generation=generation,
        token_hash=token_hash,
        previous_hash=previous_hash,
        has_ended=has_ended,
        is_in_grace=bool(is_in_grace),
    )


def _replay(token: RefreshToken, *, row: tuple[Any, ...], keys: TokenKeys) -> Refreshed | None:
    """Give the parent's existing child, if the row says that it is this one; made with whichever key."""
    _, token_hash, _, nonce, _, _, user_id, now, refresh_expires_in = row
    children = [seal(successor(token, nonce=nonce, keys=each), keys=each) for each in keys.accepted]
    child = next((each for each in children if hmac.compare_digest(digest(each), token_hash)), None)
    if child is None:
        return None
    return Refreshed(
        session_id=token.session_id,
        user_id=user_id,
        refresh_token=child,
        refresh_expires_in=refresh_expires_in,
        now=now,
    )
