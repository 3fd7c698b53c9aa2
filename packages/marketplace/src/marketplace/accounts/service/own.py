"""What a user does with an account: log in, refresh, log out, list devices, change the password.

No connection is held while a password is hashed, and what is found out before is checked again by the
transaction that acts on it.
"""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy import ColumnElement, Update
from sqlalchemy.ext.asyncio import AsyncSession

from marketplace.accounts import queries, second_factor
from marketplace.accounts.clients import Client
from marketplace.accounts.context import Accounts
from marketplace.accounts.principal import Principal
from marketplace.accounts.problems import (
    EmailNotVerified,
    InvalidAccessToken,
    InvalidCredentials,
    InvalidRefreshToken,
    InvalidSecondFactor,
    SessionNotFound,
)
from marketplace.accounts.rotation import Outcome, Refreshed, refresh
from marketplace.accounts.schemas import (
    Credentials,
    LogoutScope,
    PasswordChange,
    PasswordProof,
    SessionState,
)
from marketplace.accounts.sessions import (
    OpenedSession,
    end_sessions,
    lock_user,
    open_session,
    record,
)
from marketplace.accounts.tokens import digest, unseal
from marketplace.database import Transactions
from marketplace.entities import AuditedAction, EndReason, LetterKind, Session, User
from marketplace.problems import TooManyRequests

logger = logging.getLogger(__name__)

ATTEMPTS = 2
WAIT_AFTER_FAILURES = 600  # seconds: of the hour in which failures of an account are counted


async def log_in(
    transactions: Transactions, credentials: Credentials, *, accounts: Accounts, client: Client
) -> OpenedSession:
    """Open a session for a user who gives the right password, and a code where there is a second factor.

    Raises `InvalidCredentials`, `EmailNotVerified`, `SecondFactorNeeded`, `InvalidSecondFactor`.

    A second attempt is for one whose hash was renewed, not whose password was changed, meanwhile. Failures are
    counted by account and address together, so that nobody locks anybody else out.
    """
    rule, about = accounts.settings.rate.login_per_account, (credentials.email, client.counted_as)
    await accounts.rates.count(rule, "login", *about)
    user = None
    for _ in range(ATTEMPTS):
        user = await transactions.read(_find_by_email, credentials.email)
        await _require_room(transactions, credentials.email, user, accounts=accounts, client=client)
        password_hash = None if user is None else user.password_hash
        if user is None or not await accounts.passwords.is_password(
            credentials.password, password_hash=password_hash
        ):
            if user is None:  # as long as for an account
                await accounts.passwords.is_password(credentials.password, password_hash=None)
            break
        if not user.is_verified:
            await transactions.write(_record_refusal, user, reason="not_verified")
            raise EmailNotVerified
        try:
            opened = await transactions.write(
                _open_if_unchanged, user, code=credentials.code, accounts=accounts, client=client
            )
        except InvalidSecondFactor:
            await _count_failure(transactions, user, reason="wrong_code", accounts=accounts)
            raise
        if opened is not None:
            await accounts.rates.forget(rule, "login", *about)
            await _renew_hash(transactions, user, credentials.password, accounts=accounts)
            return opened
    await _refuse(transactions, credentials.email, user, accounts=accounts)
    raise InvalidCredentials


async def _require_room(
    transactions: Transactions,
    email: str,
    user: User | None,
    *,
    accounts: Accounts,
    client: Client,
) -> None:
    """After many failures from anywhere, let only addresses try that the user has used before."""
    rule = accounts.settings.rate.login_failures_per_account
    if await accounts.rates.has_room(rule, "failures", email):
        return
    if user is not None and client.stored_address is not None:
        is_known = await transactions.read(_was_here, user.id, address=client.stored_address)
        if is_known:
            return
    raise TooManyRequests(retry_after=WAIT_AFTER_FAILURES)


async def _refuse(
    transactions: Transactions, email: str, user: User | None, *, accounts: Accounts
) -> None:
    """Count and record a failed log in; for an address without an account only the log tells."""
    if user is not None:
        reason = "wrong_password" if user.disabled_at is None else "disabled"
        await _count_failure(transactions, user, reason=reason, accounts=accounts)
        return
    await accounts.rates.is_within(
        accounts.settings.rate.login_failures_per_account, "failures", email
    )
    accounts.metrics.count_session("login_refused")
    logger.info("log in refused", extra={"account": "unknown"})


async def _count_failure(
    transactions: Transactions, user: User, *, reason: str, accounts: Accounts
) -> None:
    await accounts.rates.is_within(
        accounts.settings.rate.login_failures_per_account, "failures", user.email
    )
    accounts.metrics.count_session("login_refused")
    logger.info("log in refused", extra={"account": user.id.hex, "reason": reason})
    await transactions.write(_record_refusal, user, reason=reason)


async def refresh_session(
    transactions: Transactions, text: str, *, accounts: Accounts, client: Client
) -> Refreshed:
    """Exchange a refresh token for its successor.

    Raises `InvalidRefreshToken`; what was revoked before that stays revoked."""
    token = unseal(text, keys=accounts.keys)
    if token is None:
        accounts.metrics.count_session(Outcome.REFUSED)
        raise InvalidRefreshToken
    await accounts.rates.count(
        accounts.settings.rate.refresh_per_account, "refresh", token.session_id.hex
    )
    async with transactions.statements("refresh") as connection:
        outcome, refreshed = await refresh(
            connection,
            token,
            presented=digest(text),
            keys=accounts.keys,
            settings=accounts.settings.session,
            client=client,
            placement=transactions.placement,
        )
    accounts.metrics.count_session(outcome)
    if refreshed is None:
        raise InvalidRefreshToken
    return refreshed


async def log_out(
    transaction: AsyncSession, principal: Principal, *, scope: LogoutScope
) -> Sequence[UUID]:
    """End this session of the user, the others, or all."""
    which, reason = _scope(principal, scope)
    return await _end_own(transaction, principal, which=which, reason=reason)


async def end_own_session(
    transaction: AsyncSession, principal: Principal, session_id: UUID
) -> None:
    """End one session of the user. Raises `SessionNotFound`, also for a session of somebody else."""
    which = queries.of_user(principal.user_id) & (Session.id == session_id)
    ended = await _end_own(transaction, principal, which=which, reason=EndReason.LOGOUT)
    if not ended:
        raise SessionNotFound(session_id=session_id)


async def list_sessions(
    transaction: AsyncSession, user_id: UUID, *, state: SessionState
) -> Sequence[Session]:
    """Give the user's sessions that are alive, or that have ended."""
    is_live = state is SessionState.LIVE
    query = queries.live_sessions(user_id) if is_live else queries.ended_sessions(user_id)
    return (await transaction.scalars(query)).all()


async def reauthenticate(
    transactions: Transactions,
    principal: Principal,
    form: PasswordProof,
    *,
    accounts: Accounts,
    client: Client,
) -> None:
    """Take the password once more, and a code where there is a second factor: the session is fresh from now on.

    Raises `InvalidCredentials`, `SecondFactorNeeded`, `InvalidSecondFactor`.
    """
    async with _proven(
        transactions, principal, password=form.password, accounts=accounts, client=client
    ) as user:
        await transactions.write(
            _mark_fresh, principal, user=user, code=form.code, accounts=accounts
        )


async def change_password(
    transactions: Transactions,
    principal: Principal,
    form: PasswordChange,
    *,
    accounts: Accounts,
    client: Client,
) -> OpenedSession:
    """Replace the password and end every session of the user; the result is a new one.

    Raises `InvalidCredentials`, `SecondFactorNeeded`, `InvalidSecondFactor`, `PasswordTooShort`, `PasswordTooWeak`.
    """
    async with _proven(
        transactions, principal, password=form.current_password, accounts=accounts, client=client
    ) as user:
        await accounts.passwords.require_strong(form.new_password, about=(user.email,))
        password_hash = await accounts.passwords.hash(form.new_password)
        return await transactions.write(
            _replace_password,
            user,
            password_hash=password_hash,
            code=form.code,
            accounts=accounts,
            client=client,
        )


async def find_account(transaction: AsyncSession, user_id: UUID) -> User:
    """Give the user with this id. Raises `InvalidAccessToken` for one that was deleted a moment ago."""
    user = await transaction.scalar(queries.user_by_id(user_id))
    if user is None:
        raise InvalidAccessToken
    return user


def _scope(principal: Principal, scope: LogoutScope) -> tuple[ColumnElement[bool], EndReason]:
    own = queries.of_user(principal.user_id)
    this = Session.id == principal.session_id
    match scope:
        case LogoutScope.THIS:
            return own & this, EndReason.LOGOUT
        case LogoutScope.OTHERS:
            return own & ~this, EndReason.LOGOUT_OTHERS
        case LogoutScope.ALL:
            return own, EndReason.LOGOUT_ALL


async def _end_own(
    transaction: AsyncSession,
    principal: Principal,
    *,
    which: ColumnElement[bool],
    reason: EndReason,
) -> Sequence[UUID]:
    await lock_user(transaction, principal.user_id)
    return await end_sessions(transaction, which, reason=reason)


async def _open_if_unchanged(
    transaction: AsyncSession,
    user: User,
    *,
    code: SecretStr | None,
    accounts: Accounts,
    client: Client,
) -> OpenedSession | None:
    """Open a session; None if the user has another password by now, or is disabled."""
    if not await lock_user(transaction, user.id, password_hash=user.password_hash):
        return None
    await second_factor.prove(transaction, user.id, code=code, vault=accounts.vault)
    if not await transaction.scalar(queries.is_known_device(user.id, client)):
        await accounts.outbox.put(
            transaction,
            LetterKind.NEW_DEVICE,
            to=user.email,
            user_id=user.id,
            device=client.user_agent or "unknown",
            address=client.stored_address or "unknown",
        )
    return await _open(transaction, user.id, accounts=accounts, client=client)


def _marking(principal: Principal) -> Update:
    return queries.reauthenticate(principal.session_id, user_id=principal.user_id)


async def _mark_fresh(
    transaction: AsyncSession,
    principal: Principal,
    *,
    user: User,
    code: SecretStr | None,
    accounts: Accounts,
) -> None:
    if not await lock_user(transaction, user.id, password_hash=user.password_hash):
        raise InvalidCredentials
    await second_factor.prove(transaction, user.id, code=code, vault=accounts.vault)
    if await transaction.scalar(_marking(principal)) is None:
        raise InvalidAccessToken
    await record(
        transaction,
        AuditedAction.SESSION_REAUTHENTICATED,
        user_id=user.id,
        session_id=principal.session_id,
    )


async def _replace_password(
    transaction: AsyncSession,
    user: User,
    *,
    password_hash: str,
    code: SecretStr | None,
    accounts: Accounts,
    client: Client,
) -> OpenedSession:
    if not await lock_user(transaction, user.id, password_hash=user.password_hash):
        raise InvalidCredentials
    await second_factor.prove(transaction, user.id, code=code, vault=accounts.vault)
    await transaction.execute(queries.drop_email_change(user.id))
    await transaction.execute(queries.change_user(user.id, password_hash=password_hash))
    await record(transaction, AuditedAction.USER_PASSWORD_CHANGED, user_id=user.id)
    await end_sessions(transaction, queries.of_user(user.id), reason=EndReason.PASSWORD_CHANGE)
    return await _open(transaction, user.id, accounts=accounts, client=client)


async def _open(
    transaction: AsyncSession, user_id: UUID, *, accounts: Accounts, client: Client
) -> OpenedSession:
    opened = await open_session(
        transaction,
        user_id,
        client=client,
        keys=accounts.keys,
        settings=accounts.settings.session,
    )
    accounts.metrics.count_session("created")
    return opened


async def _find_by_email(transaction: AsyncSession, email: str) -> User | None:
    user: User | None = await transaction.scalar(queries.user_by_email(email))
    return user


async def _was_here(transaction: AsyncSession, user_id: UUID, *, address: str) -> bool:
    known = queries.was_here_before(user_id, address=address)
    return await transaction.scalar(known) is not None


async def _record_refusal(transaction: AsyncSession, user: User, *, reason: str) -> None:
    await record(transaction, AuditedAction.SESSION_REFUSED, user_id=user.id, reason=reason)


@asynccontextmanager
async def _proven(
    transactions: Transactions,
    principal: Principal,
    *,
    password: SecretStr,
    accounts: Accounts,
    client: Client,
) -> AsyncIterator[User]:
    """Give the user after the password was given once more; counted apart from log ins."""
    user = await transactions.read(find_account, principal.user_id)
    rule = accounts.settings.rate.login_per_account
    about = ("proof", user.id.hex, client.counted_as)
    await accounts.rates.count(rule, *about)
    if not await accounts.passwords.is_password(password, password_hash=user.password_hash):
        await transactions.write(_record_refusal, user, reason="reauthentication")
        raise InvalidCredentials
    try:
        yield user
    except InvalidSecondFactor:
        await transactions.write(_record_refusal, user, reason="wrong_code")
        raise
    await accounts.rates.forget(rule, *about)


async def _renew_hash(
    transactions: Transactions, user: User, password: SecretStr, *, accounts: Accounts
) -> None:
    """Hash the password with today's parameters, if its hash was made with others."""
    if user.password_hash is not None and accounts.passwords.is_outdated(user.password_hash):
        password_hash = await accounts.passwords.hash(password)
        await transactions.write(_replace_hash, user, password_hash=password_hash)


async def _replace_hash(transaction: AsyncSession, user: User, *, password_hash: str) -> None:
    renewed = queries.change_user(user.id, password_hash=password_hash)
    await transaction.execute(renewed.where(User.password_hash == user.password_hash))
