"""A new address that a user wants, until the token mailed to it has confirmed it."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from marketplace.entities.declarative import Entity, Now


class EmailChange(Entity):
    """The newest wanted change of a user. The row holds a digest of the token that was mailed."""

    __tablename__ = "email_changes"

    user_id: Mapped[UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    new_email: Mapped[str]
    token_hash: Mapped[bytes]
    created_at: Mapped[Now]
    expires_at: Mapped[datetime]

    __table_args__ = (
        CheckConstraint("new_email = lower(new_email)", name="new_email_lower_case"),
        CheckConstraint("octet_length(token_hash) = 32", name="token_hash_sha256"),
        Index(None, "expires_at"),
    )
