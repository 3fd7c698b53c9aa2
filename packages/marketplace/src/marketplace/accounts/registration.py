"""From a new account to one that may log in: register, verify the e-mail address, ask again."""

from dataclasses import dataclass
from uuid import UUID

from psycopg.errors import UniqueViolation
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from marketplace.accounts import queries
from marketplace.accounts.context import Accounts
from marketplace.accounts.problems import (
    AccountExists,
    InvalidVerificationToken,
    PasswordTooShort,
)
from marketplace.accounts.schemas import Registration
from marketplace.accounts.sessions import record
from marketplace.accounts.tokens import digest, new_verification_token, verified_user
from marketplace.entities import AuditedAction, User
from marketplace.settings import PasswordSettings

SUBJECT = "Verify your e-mail address"
LETTER = """\
Somebody, we hope you, has made an account with this address. This token verifies it:

    {token}

If it was not you, nothing needs to be done.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifiable:
    """An account whose address is to be verified, and the token that does it."""

    user_id: UUID
    email: str
    token: str


async def register(
    transaction: AsyncSession, form: Registration, *, accounts: Accounts
) -> Verifiable:
    """Raises `PasswordTooShort`, `AccountExists`."""
    require_long_enough(len(form.password.get_secret_value()), settings=accounts.settings.password)
    user = User(
        id=uuid7(),
        email=form.email,
        phone_number=form.phone_number,
        password_hash=await accounts.passwords.hash(form.password),
    )
    transaction.add(user)
    try:
        await transaction.flush()
    except IntegrityError as error:
        if isinstance(error.orig, UniqueViolation):
            raise AccountExists from error
        raise
    await record(transaction, AuditedAction.USER_REGISTERED, user_id=user.id)
    verifiable = await _new_token(transaction, user, accounts=accounts)
    await transaction.commit()
    return verifiable


async def verify(transaction: AsyncSession, token: str) -> None:
    """Raises `InvalidVerificationToken`."""
    user_id = verified_user(token)
    if user_id is None:
        raise InvalidVerificationToken
    used = queries.take_verification(user_id, token_hash=digest(token))
    if await transaction.scalar(used) is None:
        raise InvalidVerificationToken
    await transaction.execute(queries.change_user(user_id, is_verified=True))
    await record(transaction, AuditedAction.USER_VERIFIED, user_id=user_id)
    await transaction.commit()


async def renew_verification(
    transaction: AsyncSession, email: str, *, accounts: Accounts
) -> Verifiable | None:
    """None when there is nothing to verify; the answer must not tell."""
    user = await transaction.scalar(queries.user_by_email(email))
    if user is None or user.is_verified:
        return None
    verifiable = await _new_token(transaction, user, accounts=accounts)
    await transaction.commit()
    return verifiable


async def mail_token(verifiable: Verifiable, *, accounts: Accounts) -> None:
    """After the answer: how long it takes tells nobody anything."""
    await accounts.mail.send(
        to=verifiable.email, subject=SUBJECT, text=LETTER.format(token=verifiable.token)
    )


def require_long_enough(length: int, *, settings: PasswordSettings) -> None:
    """Raises `PasswordTooShort`."""
    if length < settings.min_length:
        raise PasswordTooShort(min_length=settings.min_length)


async def _new_token(transaction: AsyncSession, user: User, *, accounts: Accounts) -> Verifiable:
    token = new_verification_token(user.id)
    await transaction.execute(
        queries.put_verification(
            user.id, token_hash=digest(token), lifetime=accounts.settings.verification_lifetime
        )
    )
    return Verifiable(user_id=user.id, email=user.email, token=token)
