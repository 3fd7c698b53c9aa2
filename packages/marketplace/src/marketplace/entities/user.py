"""A person who can log in: a customer, somebody of a vendor's staff, or an administrator."""

import enum
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from marketplace.entities.declarative import Entity, Key, Now, one_of

if TYPE_CHECKING:
    from marketplace.entities.session import Session
    from marketplace.entities.vendor import Vendor


class Role(enum.StrEnum):
    """What kind of user it is, and so what they may do."""

    CUSTOMER = "customer"
    VENDOR = "vendor"
    ADMIN = "admin"


class User(Entity):
    """A user, found by e-mail (stored lower-cased) or by phone number (E.164), which nobody verifies.

    Without a password until whoever has the letter to that address sets one.
    """

    __tablename__ = "users"

    id: Mapped[Key]
    email: Mapped[str]
    phone_number: Mapped[str | None]
    password_hash: Mapped[str | None]
    is_verified: Mapped[bool] = mapped_column(server_default=text("false"))
    role: Mapped[Role] = mapped_column(
        one_of(Role, name="role"), server_default=Role.CUSTOMER.value
    )
    vendor_id: Mapped[UUID | None] = mapped_column(ForeignKey("vendors.id", ondelete="RESTRICT"))
    has_second_factor: Mapped[bool] = mapped_column(server_default=text("false"))
    created_at: Mapped[Now]
    deleted_at: Mapped[datetime | None]  # all that told who it is has gone with it
    disabled_at: Mapped[datetime | None]

    vendor: Mapped["Vendor | None"] = relationship(lazy="raise_on_sql")
    sessions: Mapped[list["Session"]] = relationship(
        back_populates="user",
        cascade="all, delete-orphan",
        passive_deletes=True,  # ON DELETE CASCADE does it
        lazy="raise_on_sql",
    )

    __table_args__ = (
        CheckConstraint("email = lower(email)", name="email_lower_case"),
        CheckConstraint("phone_number ~ '^\\+[1-9][0-9]{1,14}$'", name="phone_number_e164"),
        CheckConstraint("(role = 'vendor') = (vendor_id IS NOT NULL)", name="vendor_of_staff"),
        Index(None, "email", unique=True),
        Index(None, "phone_number"),
        Index(None, "email", "is_verified"),
        Index(None, "vendor_id"),
    )
