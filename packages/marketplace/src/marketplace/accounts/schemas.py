"""What accounts take and give over HTTP."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Literal, Self
from uuid import UUID

import phonenumbers
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    EmailStr,
    Field,
    SecretStr,
    model_validator,
)

from marketplace.accounts.principal import Principal
from marketplace.cursors import PageRequest
from marketplace.entities import EndReason, Role, Session


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Answer(BaseModel):
    model_config = ConfigDict(from_attributes=True)


def _lower_case(email: str) -> str:
    return email.lower()


def _e164(text: str) -> str:
    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException as error:
        raise ValueError(
            "not a phone number with its country code, as in +4930901820001"
        ) from error
    if not phonenumbers.is_possible_number(number):
        raise ValueError("no such phone number is possible")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


Email = Annotated[EmailStr, AfterValidator(_lower_case)]
PhoneNumber = Annotated[
    str, Field(max_length=40, examples=["+4930901820001"]), AfterValidator(_e164)
]
# How long a new one must be is a setting. An upper limit, so that hashing has one too.
Password = Annotated[SecretStr, Field(min_length=1, max_length=256)]
Token = Annotated[SecretStr, Field(min_length=1, max_length=200)]


class Delivery(StrEnum):
    """Where the refresh token goes: into a cookie that scripts cannot read, or into the body."""

    COOKIE = "cookie"
    BODY = "body"


class Registration(_Request):
    """Who registers: the form of a new customer."""

    email: Email
    password: Password
    phone_number: PhoneNumber | None = None


class Registered(_Answer):
    """`verification_token` is null where it is mailed."""

    user_id: UUID
    email: str
    verification_token: str | None


class Verification(_Request):
    """The token that was mailed to verify the address."""

    token: Token


class VerificationRequest(_Request):
    """The address for which another token is wanted."""

    email: Email


class Credentials(_Request):
    """Who logs in, and where the refresh token shall go."""

    email: Email
    password: Password
    delivery: Delivery = Delivery.BODY


class Refresh(_Request):
    """Without a token here, the one in the cookie is meant."""

    refresh_token: Token | None = None


class PasswordProof(_Request):
    """The password once more, of a user who is logged in."""

    password: Password


class PasswordChange(_Request):
    """The password that is, and the one that shall be."""

    current_password: Password
    new_password: Password
    delivery: Delivery = Delivery.BODY


class Tokens(_Answer):
    """`refresh_token` is null where a cookie has it. Both durations are in seconds."""

    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  # RFC 6750, not a secret
    access_token: str
    expires_in: int
    refresh_token: str | None
    refresh_expires_in: int
    session_id: UUID


class LogoutScope(StrEnum):
    """Which sessions of the user end at a log out."""

    THIS = "this"
    OTHERS = "others"
    ALL = "all"


class Account(_Answer):
    """A user, as the user and administrators see them."""

    id: UUID
    email: str
    phone_number: str | None
    is_verified: bool
    role: Role
    vendor_id: UUID | None
    created_at: datetime
    disabled_at: datetime | None


class AccountPage(_Answer):
    """Users by e-mail; `next_cursor` is null on the last page."""

    items: list[Account]
    next_cursor: str | None


class AccountFilters(PageRequest):
    """Which users, and which page of them."""

    is_verified: bool | None = None


class RoleChange(_Request):
    """A vendor's staff belong to one vendor, others to none."""

    role: Role
    vendor_id: UUID | None = None

    @model_validator(mode="after")
    def _vendor_of_staff(self) -> "RoleChange":
        if (self.role is Role.VENDOR) != (self.vendor_id is not None):
            raise ValueError("vendor_id belongs to the role vendor, and to no other")
        return self


class SessionState(StrEnum):
    """Whether a list shows sessions that live or that have ended."""

    LIVE = "live"
    ENDED = "ended"


class SessionDetail(_Answer):
    """A device. One that was never revoked, and ended all the same, has expired."""

    id: UUID
    is_current: bool
    user_agent: str | None
    ip_address: IPv4Address | IPv6Address | None
    created_at: datetime
    authenticated_at: datetime
    last_used_at: datetime
    expires_at: datetime
    absolute_expires_at: datetime
    revoked_at: datetime | None
    revoked_reason: EndReason | None


class SessionList(_Answer):
    """The devices on which a user is logged in, or was."""

    items: list[SessionDetail]

    @classmethod
    def of(cls, rows: Iterable[Session], *, current: Principal) -> Self:
        """The sessions as their owner, or an administrator, sees them."""
        names = [name for name in SessionDetail.model_fields if name != "is_current"]
        return cls(
            items=[
                SessionDetail.model_validate(
                    {name: getattr(row, name) for name in names}
                    | {"is_current": row.id == current.session_id}
                )
                for row in rows
            ]
        )
