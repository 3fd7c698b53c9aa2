"""What leads to an account that may log in: register, verify the e-mail address, ask for another token."""

from dataclasses import dataclass
from uuid import UUID

from psycopg.errors import UniqueViolation
from sqlalchemy import insert
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
from marketplace.database import Transactions
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
    transactions: Transactions, form: Registration, *, accounts: Accounts
) -> Verifiable:
    """Make the account; no connection is held while the password is hashed.

    Raises `PasswordTooShort`, `AccountExists`.
    """
    require_long_enough(len(form.password.get_secret_value()), settings=accounts.settings.password)
    user = User(
        id=uuid7(),
        email=form.email,
        phone_number=form.phone_number,
        password_hash=await accounts.passwords.hash(form.password),
    )
    return await transactions.write(_add, user, accounts=accounts)


async def verify(transaction: AsyncSession, token: str) -> None:
    """Use a token that was mailed: the address counts as verified. Raises `InvalidVerificationToken`."""
    user_id = verified_user(token)
    if user_id is None:
        raise InvalidVerificationToken
    used = queries.take_verification(user_id, token_hash=digest(token))
    if await transaction.scalar(used) is None:
        raise InvalidVerificationToken
    await transaction.execute(queries.change_user(user_id, is_verified=True))
    await record(transaction, AuditedAction.USER_VERIFIED, user_id=user_id)


async def renew_verification(
    transaction: AsyncSession, email: str, *, accounts: Accounts
) -> Verifiable | None:
    """A new token in place of the last; None when there is nothing to verify, which the answer must not tell."""
    user = await transaction.scalar(queries.user_by_email(email))
    if user is None or user.is_verified:
        return None
    return await _new_token(transaction, user, accounts=accounts)


async def mail_token(verifiable: Verifiable, *, accounts: Accounts) -> None:
    """Mail the token, after the answer was given: how long that takes tells nobody anything."""
    await accounts.mail.send(
        to=verifiable.email, subject=SUBJECT, text=LETTER.format(token=verifiable.token)
    )


def require_long_enough(length: int, *, settings: PasswordSettings) -> None:
    """Refuse a new password that is shorter than the settings ask. Raises `PasswordTooShort`."""
    if length < settings.min_length:
        raise PasswordTooShort(min_length=settings.min_length)


async def _add(transaction: AsyncSession, user: User, *, accounts: Accounts) -> Verifiable:
    added = insert(User).values(
        {name: getattr(user, name) for name in ("id", "email", "phone_number", "password_hash")}
    )
    try:
        await transaction.execute(added)
    except IntegrityError as error:
        if isinstance(error.orig, UniqueViolation):
            raise AccountExists from error
        raise
    await record(transaction, AuditedAction.USER_REGISTERED, user_id=user.id)
    return await _new_token(transaction, user, accounts=accounts)


async def _new_token(transaction: AsyncSession, user: User, *, accounts: Accounts) -> Verifiable:
    token = new_verification_token(user.id)
    await transaction.execute(
        queries.put_verification(
            user.id, token_hash=digest(token), lifetime=accounts.settings.verification_lifetime
        )
    )
    return Verifiable(user_id=user.id, email=user.email, token=token)
