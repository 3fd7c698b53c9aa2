"""One logged-in device of a user: the refresh token that is current, and how the session ended.

The row holds digests only: nothing in it can be presented, replayed or turned into a token.
A rotation touches no indexed column, so it stays a HOT update; `fillfactor` leaves it the room.
"""

import enum
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.dialects.postgresql import INET
from sqlalchemy.orm import Mapped, mapped_column, relationship

from marketplace.entities.declarative import Entity, Key, Now, one_of

if TYPE_CHECKING:
    from marketplace.entities.user import User


class EndReason(enum.StrEnum):
    """Why a session ended before its time."""

    LOGOUT = "logout"
    LOGOUT_ALL = "logout_all"
    LOGOUT_OTHERS = "logout_others"
    PASSWORD_CHANGE = "password_change"  # noqa: S105  # a reason, not a password
    REUSE_DETECTED = "reuse_detected"
    EVICTED = "evicted"
    ADMIN = "admin"
    USER_DISABLED = "user_disabled"
    EMAIL_CHANGE = "email_change"


class Session(Entity):
    """`expires_at` slides with each refresh; `absolute_expires_at` never moves."""

    __tablename__ = "sessions"

    id: Mapped[Key]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    refresh_token_hash: Mapped[bytes]
    previous_token_hash: Mapped[bytes | None]
    generation: Mapped[int] = mapped_column(server_default=text("0"))
    rotation_nonce: Mapped[bytes | None]
    rotated_at: Mapped[datetime | None]
    user_agent: Mapped[str | None] = mapped_column(String(512))
    ip_address: Mapped[IPv4Address | IPv6Address | None] = mapped_column(INET)
    created_at: Mapped[Now]
    authenticated_at: Mapped[Now]
    last_used_at: Mapped[Now]
    expires_at: Mapped[datetime]
    absolute_expires_at: Mapped[datetime]
    is_revoked: Mapped[bool] = mapped_column(server_default=text("false"))
    revoked_at: Mapped[datetime | None]
    revoked_reason: Mapped[EndReason | None] = mapped_column(
        one_of(EndReason, name="revoked_reason")
    )

    user: Mapped["User"] = relationship(back_populates="sessions", lazy="raise_on_sql")

    __table_args__ = (
        CheckConstraint("octet_length(refresh_token_hash) = 32", name="refresh_token_hash_sha256"),
        CheckConstraint(
            "octet_length(previous_token_hash) = 32", name="previous_token_hash_sha256"
        ),
        CheckConstraint("generation >= 0", name="generation_not_negative"),
        CheckConstraint("expires_at <= absolute_expires_at", name="absolute_expiry"),
        CheckConstraint("is_revoked = (revoked_at IS NOT NULL)", name="revoked_at_known"),
        CheckConstraint("is_revoked = (revoked_reason IS NOT NULL)", name="revoked_reason_known"),
        Index(None, "user_id", "is_revoked"),
        Index(None, "absolute_expires_at"),
        {"postgresql_with": {"fillfactor": 80}},
    )
