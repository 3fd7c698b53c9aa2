"""What a user has besides a password: the secret of an authenticator, and codes in case it is lost."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from marketplace.entities.declarative import Entity, Now


class SecondFactor(Entity):
    """A second factor, in force once a code has confirmed it. No code of `last_step` or before works again."""

    __tablename__ = "second_factors"

    user_id: Mapped[UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    sealed_secret: Mapped[bytes]
    created_at: Mapped[Now]
    confirmed_at: Mapped[datetime | None]
    last_step: Mapped[int | None] = mapped_column(BigInteger)


class RecoveryCode(Entity):
    """One of ten, deleted once it is used. It has 125 random bits, so its digest needs no slow hash."""

    __tablename__ = "recovery_codes"

    user_id: Mapped[UUID] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    code_hash: Mapped[bytes] = mapped_column(primary_key=True)

    __table_args__ = (CheckConstraint("octet_length(code_hash) = 32", name="code_hash_sha256"),)
