"""A letter to be mailed: written in the transaction that is the reason for it, deleted once it was sent."""

import enum
from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from marketplace.entities.declarative import Entity, Key, Now, one_of


class LetterKind(enum.StrEnum):
    """What a letter is about."""

    NEW_ACCOUNT = "new_account"
    KNOWN_ACCOUNT = "known_account"
    NEW_DEVICE = "new_device"
    EMAIL_CHANGE = "email_change"  # to the new address, with the token
    EMAIL_CHANGE_ASKED = "email_change_asked"  # to the address before
    EMAIL_CHANGED = "email_changed"  # to both
    EMAIL_TAKEN = "email_taken"  # to the new address, which has an account
    SECOND_FACTOR_CHANGED = "second_factor_changed"
    ACCOUNT_DELETED = "account_deleted"
    REFUND = "refund"


class Letter(Entity):
    """One letter. `sealed` is its text, encrypted: a copy of the database gives nobody a token.

    `next_attempt_at` is when it may be tried, or tried again; one that is under way is taken until then.
    """

    __tablename__ = "letters"

    id: Mapped[Key]
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    kind: Mapped[LetterKind] = mapped_column(one_of(LetterKind, name="kind", length=32))
    recipient: Mapped[str]
    sealed: Mapped[bytes]
    created_at: Mapped[Now]
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    next_attempt_at: Mapped[Now]
    gave_up_at: Mapped[datetime | None]
    last_error: Mapped[str | None] = mapped_column(String(64))

    __table_args__ = (
        Index(None, "user_id"),
        Index(None, "next_attempt_at", postgresql_where=text("gave_up_at IS NULL")),
        Index(None, "gave_up_at", "id", postgresql_where=text("gave_up_at IS NOT NULL")),
    )
