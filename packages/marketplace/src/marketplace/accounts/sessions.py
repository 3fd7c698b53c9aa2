"""Opening and ending sessions, in the transaction of the caller, each with its audit record."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, insert
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from marketplace.accounts import queries
from marketplace.accounts.clients import Client
from marketplace.accounts.tokens import TokenKeys, digest, first_token, seal
from marketplace.database import placement_of
from marketplace.entities import AuditedAction, AuditEvent, EndReason
from marketplace.placement import Placement
from marketplace.settings import SessionSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedSession:
    """A new session and its first token. `now` is the database's, in seconds since 1970."""

    session_id: UUID
    user_id: UUID
    refresh_token: str
    now: int


async def lock_user(
    transaction: AsyncSession, user_id: UUID, *, password_hash: str | None = None
) -> bool:
    """Lock the user: until the commit nobody else opens or ends sessions of theirs; see `queries.lock_user`."""
    found = await transaction.scalar(queries.lock_user(user_id, password_hash=password_hash))
    return found is not None


async def open_session(
    transaction: AsyncSession,
    user_id: UUID,
    *,
    client: Client,
    keys: TokenKeys,
    settings: SessionSettings,
) -> OpenedSession:
    """Open a session of a user whom the caller has locked; beyond the limit the longest unused ones end."""
    await end_sessions(
        transaction,
        queries.beyond(settings.max_per_user - 1, user_id=user_id),
        reason=EndReason.EVICTED,
        action=AuditedAction.SESSION_EVICTED,
    )
    session_id = uuid7()
    is_placed = placement_of(transaction) is Placement.BY_USER
    first = first_token(session_id, user_id=user_id if is_placed else None)
    token = seal(first, keys=keys)
    token_hash = digest(token)
    opened_at: datetime = await transaction.scalar(
        queries.open_session(
            session_id, user_id=user_id, token_hash=token_hash, client=client, settings=settings
        )
    )
    await record(
        transaction,
        AuditedAction.SESSION_CREATED,
        user_id=user_id,
        session_id=session_id,
        token_digest=token_hash.hex()[:8],
    )
    return OpenedSession(
        session_id=session_id, user_id=user_id, refresh_token=token, now=int(opened_at.timestamp())
    )


async def end_sessions(
    transaction: AsyncSession,
    which: ColumnElement[bool],
    *,
    reason: EndReason,
    action: AuditedAction = AuditedAction.SESSION_REVOKED,
    actor_id: UUID | None = None,
) -> Sequence[UUID]:
    """End sessions of a user whom the caller has locked; gives the keys of those ended now."""
    ended = (await transaction.execute(queries.revoke(which, reason=reason))).all()
    if ended:
        records = [
            {
                "action": action,
                "user_id": user_id,
                "session_id": session_id,
                "reason": reason.value,
                "actor_id": actor_id,
            }
            for session_id, user_id in ended
        ]
        await transaction.execute(insert(AuditEvent), records)
    return [session_id for session_id, _ in ended]


async def record(
    transaction: AsyncSession, action: AuditedAction, *, user_id: UUID, **fields: object
) -> None:
    """Write one audit record, in the transaction of what it tells of."""
    await transaction.execute(insert(AuditEvent).values(action=action, user_id=user_id, **fields))
