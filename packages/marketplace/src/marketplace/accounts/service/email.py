"""Changing the e-mail address: requested while logged in, confirmed by the token in a letter, reported to both."""

from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from marketplace.accounts import queries
from marketplace.accounts.context import Accounts
from marketplace.accounts.problems import EmailTaken, InvalidAccessToken, InvalidVerificationToken
from marketplace.accounts.sessions import end_sessions, record
from marketplace.accounts.tokens import EMAIL_PREFIX, digest, new_mailed_token, user_of_mailed_token
from marketplace.database import Transactions, placement_of
from marketplace.entities import AuditedAction, EndReason, LetterKind, User
from marketplace.placement import Placement


async def ask_for_change(
    transactions: Transactions, user_id: UUID, new_email: str, *, accounts: Accounts
) -> str | None:
    """Queue letters to both addresses, and give the token for the new one.

    None where the new address has an account, of which its letter tells, or got enough letters today.
    """
    rule = accounts.settings.rate.letters_in_all
    if not await accounts.rates.is_within(rule, "letters in all", new_email):
        return None
    return await transactions.write(_ask, user_id, new_email, accounts=accounts)


async def confirm_change(transactions: Transactions, token: str, *, accounts: Accounts) -> None:
    """Use the token of a letter: the address changes, and every session ends. A token works once.

    Raises `InvalidVerificationToken`, `EmailTaken`.
    """
    user_id = user_of_mailed_token(token, prefix=EMAIL_PREFIX)
    if user_id is None:
        raise InvalidVerificationToken
    await transactions.write(_confirm, user_id, token=token, accounts=accounts)


async def _ask(
    transaction: AsyncSession, user_id: UUID, new_email: str, *, accounts: Accounts
) -> str | None:
    user = await transaction.get(User, user_id, with_for_update={"key_share": True})
    if user is None:
        raise InvalidAccessToken
    known = await transaction.scalar(queries.user_by_email(new_email))
    put = accounts.outbox.put
    await put(
        transaction,
        LetterKind.EMAIL_CHANGE_ASKED,
        to=user.email,
        user_id=user_id,
        new_email=new_email,
    )
    if known is not None and known.is_verified:
        await put(transaction, LetterKind.EMAIL_TAKEN, to=new_email, user_id=user_id)
        return None
    token = new_mailed_token(user_id, prefix=EMAIL_PREFIX)
    change = queries.put_email_change(
        user_id,
        new_email=new_email,
        token_hash=digest(token),
        lifetime=accounts.settings.password_reset_lifetime,
    )
    await transaction.execute(change)
    await put(transaction, LetterKind.EMAIL_CHANGE, to=new_email, user_id=user_id, token=token)
    return token


async def _confirm(
    transaction: AsyncSession, user_id: UUID, *, token: str, accounts: Accounts
) -> None:
    user = await transaction.get(User, user_id, with_for_update={"key_share": True})
    taken = queries.take_email_change(user_id, token_hash=digest(token))
    new_email = await transaction.scalar(taken)
    if user is None or user.disabled_at is not None or new_email is None:
        raise InvalidVerificationToken
    old_email = user.email
    await _drop_unverified(transaction, new_email)
    user.email = new_email
    try:
        await transaction.flush()
    except IntegrityError as error:
        raise EmailTaken from error
    await record(transaction, AuditedAction.USER_EMAIL_CHANGED, user_id=user_id)
    await end_sessions(transaction, queries.of_user(user_id), reason=EndReason.EMAIL_CHANGE)
    for address in (old_email, new_email):
        await accounts.outbox.put(
            transaction,
            LetterKind.EMAIL_CHANGED,
            to=address,
            user_id=user_id,
            old_email=old_email,
            new_email=new_email,
        )


async def _drop_unverified(transaction: AsyncSession, email: str) -> None:
    if placement_of(transaction) is Placement.ONE_SERVER:
        await transaction.execute(queries.drop_unverified(email))
        return
    user_id = await transaction.scalar(queries.unverified(email))
    if user_id is None or await transaction.scalar(queries.has_ordered(user_id)) is not None:
        return
    await transaction.execute(queries.unverified_without_orders(user_id))
