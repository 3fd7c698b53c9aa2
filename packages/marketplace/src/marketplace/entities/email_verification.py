"""The token that was mailed to a user, verifies the address and sets a password; deleted once it is used."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from marketplace.entities.declarative import Entity, Now


class EmailVerification(Entity):
    """The newest token of a user. The row holds a digest, which nobody can present."""

    __tablename__ = "email_verifications"

    user_id: Mapped[UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    token_hash: Mapped[bytes]
    created_at: Mapped[Now]
    expires_at: Mapped[datetime]

    __table_args__ = (CheckConstraint("octet_length(token_hash) = 32", name="token_hash_sha256"),)
