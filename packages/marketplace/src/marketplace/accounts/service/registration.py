"""Registration and a forgotten password: a letter is sent, and its token sets the password.

Whoever has the letter has the address, so the password is theirs to set: nobody can register an address of
somebody else with a password of their own. An answer is the same whether the address has an account or not;
the letter says the rest.
"""

from datetime import timedelta
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from marketplace.accounts import queries
from marketplace.accounts.context import Accounts
from marketplace.accounts.problems import InvalidVerificationToken
from marketplace.accounts.schemas import Registration, Verification
from marketplace.accounts.sessions import end_sessions, record
from marketplace.accounts.tokens import (
    VERIFICATION_PREFIX,
    digest,
    new_mailed_token,
    user_of_mailed_token,
)
from marketplace.database import Transactions
from marketplace.entities import AuditedAction, EndReason, LetterKind, User


async def register(
    transactions: Transactions, form: Registration, *, accounts: Accounts
) -> str | None:
    """Queue a letter to the address, whether it has an account or not, and give its token.

    None: the address got enough of them.

    Raises `PasswordTooShort`, `PasswordTooWeak`.
    """
    if form.password is not None:
        await accounts.passwords.require_strong(form.password, about=(form.email,))
    if not await _may_write_to(form.email, accounts=accounts):
        return None
    return await transactions.write(_open, form, accounts=accounts)


async def renew_verification(
    transactions: Transactions, email: str, *, accounts: Accounts
) -> str | None:
    """Queue another letter to an unverified account and give its token; None if there is no such account."""
    if not await _may_write_to(email, accounts=accounts):
        return None
    return await transactions.write(_renew, email, is_known=False, accounts=accounts)


async def forget_password(
    transactions: Transactions, email: str, *, accounts: Accounts
) -> str | None:
    """Queue a letter that sets a new password and give its token; None without an account."""
    if not await _may_write_to(email, accounts=accounts):
        return None
    return await transactions.write(_renew, email, is_known=True, accounts=accounts)


async def verify(transactions: Transactions, form: Verification, *, accounts: Accounts) -> None:
    """Use the token of a letter: the address is verified, and the password is set. A token works once.

    Every session of the user ends. Raises `InvalidVerificationToken`, and `PasswordTooShort` or
    `PasswordTooWeak`, after which the token works still.
    """
    token = form.token.get_secret_value()
    user_id = user_of_mailed_token(token, prefix=VERIFICATION_PREFIX)
    user = None if user_id is None else await transactions.read(_find, user_id, token=token)
    if user is None:
        raise InvalidVerificationToken
    await accounts.passwords.require_strong(form.password, about=(user.email,))
    password_hash = await accounts.passwords.hash(form.password)
    await transactions.write(_use, user.id, token=token, password_hash=password_hash)


async def add_verified(
    transactions: Transactions, email: str, *, password: SecretStr, accounts: Accounts
) -> None:
    """Make an account that may log in without a letter, for the operator. An unverified one is taken over.

    Raises `PasswordTooShort`, `PasswordTooWeak`.
    """
    await accounts.passwords.require_strong(password, about=(email,))
    password_hash = await accounts.passwords.hash(password)
    await transactions.write(_add_verified, email, password_hash=password_hash)


async def _may_write_to(email: str, *, accounts: Accounts) -> bool:
    """Whether another letter may go to the address: nobody fills a mailbox. The client is not told."""
    return await accounts.rates.is_within(
        accounts.settings.rate.letters_in_all, "letters in all", email
    )


async def _open(transaction: AsyncSession, form: Registration, *, accounts: Accounts) -> str | None:
    added = queries.add_user(uuid7(), email=form.email)
    if (user_id := await transaction.scalar(added)) is not None:
        await record(transaction, AuditedAction.USER_REGISTERED, user_id=user_id)
    user = (await transaction.scalars(queries.locked_user_by_email(form.email))).one()
    if not user.is_verified:  # whoever registered before had no letter either
        user.phone_number, user.password_hash = form.phone_number, None
    return await _letter(transaction, user, accounts=accounts)


async def _renew(
    transaction: AsyncSession, email: str, *, is_known: bool, accounts: Accounts
) -> str | None:
    user = await transaction.scalar(queries.locked_user_by_email(email))
    if user is None or (user.is_verified and not is_known):
        return None
    return await _letter(transaction, user, accounts=accounts)


async def _letter(transaction: AsyncSession, user: User, *, accounts: Accounts) -> str | None:
    """Queue a letter with a new token, which replaces the one before; None for a disabled account."""
    if user.disabled_at is not None:
        return None
    token = new_mailed_token(user.id, prefix=VERIFICATION_PREFIX)
    lifetime: timedelta = (
        accounts.settings.password_reset_lifetime
        if user.is_verified
        else accounts.settings.verification_lifetime
    )
    await transaction.execute(
        queries.put_verification(user.id, token_hash=digest(token), lifetime=lifetime)
    )
    kind = LetterKind.KNOWN_ACCOUNT if user.is_verified else LetterKind.NEW_ACCOUNT
    await accounts.outbox.put(transaction, kind, to=user.email, user_id=user.id, token=token)
    return token


async def _find(transaction: AsyncSession, user_id: UUID, *, token: str) -> User | None:
    user: User | None = await transaction.scalar(
        queries.verification(user_id, token_hash=digest(token))
    )
    return user


async def _use(transaction: AsyncSession, user_id: UUID, *, token: str, password_hash: str) -> None:
    user = await transaction.get(User, user_id, with_for_update={"key_share": True})
    used = queries.take_verification(user_id, token_hash=digest(token))
    if user is None or user.disabled_at is not None or await transaction.scalar(used) is None:
        raise InvalidVerificationToken
    action = (
        AuditedAction.USER_PASSWORD_CHANGED if user.is_verified else AuditedAction.USER_VERIFIED
    )
    user.is_verified, user.password_hash = True, password_hash
    await record(transaction, action, user_id=user_id)
    await transaction.execute(queries.drop_email_change(user_id))
    await end_sessions(transaction, queries.of_user(user_id), reason=EndReason.PASSWORD_CHANGE)


async def _add_verified(transaction: AsyncSession, email: str, *, password_hash: str) -> None:
    added = queries.add_user(uuid7(), email=email)
    if (user_id := await transaction.scalar(added)) is not None:
        await record(transaction, AuditedAction.USER_REGISTERED, user_id=user_id)
    user = (await transaction.scalars(queries.locked_user_by_email(email))).one()
    user.is_verified, user.password_hash = True, password_hash
