"""The schemas of accounts: what their routes take and give."""

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
from marketplace.entities import AuditedAction, EndReason, LetterKind, Role, Session


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Answer(BaseModel):
    model_config = ConfigDict(from_attributes=True)


def _lower_case(email: str) -> str:
    return email.lower()


def _unicode_text(secret: SecretStr) -> SecretStr:
    try:
        secret.get_secret_value().encode()
    except UnicodeEncodeError:
        raise ValueError("not Unicode text: half of a surrogate pair") from None
    return secret


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
Password = Annotated[SecretStr, Field(min_length=1, max_length=256), AfterValidator(_unicode_text)]
Token = Annotated[SecretStr, Field(min_length=1, max_length=200), AfterValidator(_unicode_text)]


# Of an authenticator, or a recovery code with or without its dashes.
Code = Annotated[SecretStr, Field(min_length=6, max_length=40), AfterValidator(_unicode_text)]


class Delivery(StrEnum):
    """Where the refresh token goes: into a cookie that scripts cannot read, or into the body."""

    COOKIE = "cookie"
    BODY = "body"


class Registration(_Request):
    """Who registers: the form of a new customer.

    A password is only judged here, so that a form can say early that it is too weak. It is set by whoever has
    the letter, with the token in it.
    """

    email: Email
    password: Password | None = None
    phone_number: PhoneNumber | None = None


class Registered(_Answer):
    """A letter is on its way, whether the address had an account or not.

    `verification_token` is null where it is mailed.
    """

    email: str
    verification_token: str | None


class Verification(_Request):
    """The token that was mailed, and the password that the account shall have."""

    token: Token
    password: Password


class VerificationRequest(_Request):
    """The address for which another token is wanted."""

    email: Email


class PasswordForgotten(_Answer):
    """A letter is on its way if the address has an account; `token` is null where it is mailed, or there is none."""

    email: str
    token: str | None


class Credentials(_Request):
    """Who logs in, and where the refresh token shall go."""

    email: Email
    password: Password
    code: Code | None = None
    delivery: Delivery = Delivery.BODY


class Refresh(_Request):
    """Without a token here, the one in the cookie is meant."""

    refresh_token: Token | None = None


class PasswordProof(_Request):
    """The password once more, of a user who is logged in; with a code, where there is a second factor."""

    password: Password
    code: Code | None = None


class PasswordChange(_Request):
    """The password that is, and the one that shall be."""

    current_password: Password
    new_password: Password
    code: Code | None = None
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


class EmailWanted(_Request):
    """The address that shall replace the one of the account."""

    new_email: Email


class EmailChangeAsked(_Answer):
    """A letter is on its way to the new address, whether it has an account or not.

    `token` is null where it is mailed.
    """

    new_email: str
    token: str | None


class EmailConfirmation(_Request):
    """The token that was mailed to the new address."""

    token: Token


class SecondFactorState(_Answer):
    """Whether a second factor is in force, and how many recovery codes are left."""

    is_in_force: bool
    recovery_codes_left: int


class SecondFactorOffer(_Answer):
    """For an authenticator, shown once: the secret, and the same as a URI for a QR code."""

    secret: str
    uri: str


class SecondFactorCode(_Request):
    """A code of the authenticator."""

    code: Code


class RecoveryCodes(_Answer):
    """Shown once. Each replaces the authenticator one time."""

    recovery_codes: list[str]


class DeadLetter(_Answer):
    """A letter that was given up on: to whom, what about, and what the mail server did last."""

    id: UUID
    user_id: UUID | None
    kind: LetterKind
    recipient: str
    attempts: int
    last_error: str | None
    created_at: datetime
    gave_up_at: datetime


class DeadLetterPage(_Answer):
    """Letters that were given up on, the newest first; `next_cursor` is null on the last page."""

    items: list[DeadLetter]
    next_cursor: str | None


class Account(_Answer):
    """A user, as the user and administrators see them."""

    id: UUID
    email: str
    phone_number: str | None
    is_verified: bool
    has_second_factor: bool
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


class AuditFilters(PageRequest):
    """Which records, and which page of them."""

    user_id: UUID | None = Field(default=None, description="Whom it is about.")
    action: AuditedAction | None = None


class AuditRecord(_Answer):
    """What happened: to whom, in which session, and who did it where that was somebody else."""

    id: int
    occurred_at: datetime
    action: AuditedAction
    user_id: UUID
    session_id: UUID | None
    actor_id: UUID | None
    reason: str | None
    token_digest: str | None


class AuditPage(_Answer):
    """Records, the newest first; `next_cursor` is null on the last page."""

    items: list[AuditRecord]
    next_cursor: str | None


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
