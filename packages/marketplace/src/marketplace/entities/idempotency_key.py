"""The answer to a request with an Idempotency-Key, written in the transaction of the request."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from marketplace.entities.declarative import Entity, Now


class IdempotencyKey(Entity):
    """A key of one user. `fingerprint` is the SHA-256 of the method, the path and the body."""

    __tablename__ = "idempotency_keys"

    user_id: Mapped[UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    method: Mapped[str]
    path: Mapped[str]
    fingerprint: Mapped[bytes]
    status: Mapped[int]
    response: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[Now]
    expires_at: Mapped[datetime]

    __table_args__ = (
        CheckConstraint("octet_length(fingerprint) = 32", name="fingerprint_sha256"),
        Index(None, "expires_at"),
    )
