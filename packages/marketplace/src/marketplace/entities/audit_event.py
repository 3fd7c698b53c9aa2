"""What happened to an account and its sessions, written in the same transaction.

Nothing refers to users or sessions: a record outlives what it is about. It holds no name, no address,
no token: of a token the first eight hex digits of its digest, to find two uses of the same one.
"""

import enum
from uuid import UUID

from sqlalchemy import BigInteger, Identity, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from marketplace.entities.declarative import Entity, Now, one_of


class AuditedAction(enum.StrEnum):
    """The actions that are recorded."""

    USER_REGISTERED = "user.registered"
    USER_VERIFIED = "user.verified"
    USER_PASSWORD_CHANGED = "user.password_changed"  # noqa: S105  # an action, not a password
    USER_ROLE_CHANGED = "user.role_changed"
    USER_DISABLED = "user.disabled"
    USER_ENABLED = "user.enabled"
    USER_EMAIL_CHANGED = "user.email_changed"
    USER_SECOND_FACTOR_ADDED = "user.second_factor_added"
    USER_SECOND_FACTOR_REMOVED = "user.second_factor_removed"
    USER_RECOVERY_CODE_USED = "user.recovery_code_used"
    USER_EXPORTED = "user.exported"
    USER_DELETED = "user.deleted"
    SESSION_CREATED = "session.created"
    SESSION_REFRESHED = "session.refreshed"
    SESSION_CLIENT_CHANGED = "session.client_changed"
    SESSION_REAUTHENTICATED = "session.reauthenticated"
    SESSION_REUSE_DETECTED = "session.reuse_detected"
    SESSION_REVOKED = "session.revoked"
    SESSION_EVICTED = "session.evicted"
    SESSION_EXPIRED_CLEANUP = "session.expired_cleanup"
    SESSION_REFUSED = "session.refused"  # a log in, or another proof of the password, that failed
    ADMIN_READ = "admin.read"  # `reason` says what: a route, or the id of an order


class AuditEvent(Entity):
    """One record. `actor_id` is who did it, if not the user."""

    __tablename__ = "audit_events"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    occurred_at: Mapped[Now]
    action: Mapped[AuditedAction] = mapped_column(one_of(AuditedAction, name="action", length=32))
    user_id: Mapped[UUID]
    session_id: Mapped[UUID | None]
    actor_id: Mapped[UUID | None]
    reason: Mapped[str | None] = mapped_column(String(32))
    token_digest: Mapped[str | None] = mapped_column(String(8))

    __table_args__ = (
        Index(None, "user_id", "id"),
        # Rows arrive in the order of time: a few bytes for each 128 pages are enough for the clean-up.
        Index(None, "occurred_at", postgresql_using="brin"),
    )
