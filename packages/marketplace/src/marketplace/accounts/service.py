"""What accounts answer: log in, refresh, log out, the devices, the password.

No connection is held while a password is hashed, and what is found out before is checked again by the
transaction that acts on it.
"""

from collections.abc import Sequence
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy import ColumnElement
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from marketplace.accounts import queries
from marketplace.accounts.clients import Client
from marketplace.accounts.context import Accounts
from marketplace.accounts.principal import Principal
from marketplace.accounts.problems import (
    EmailNotVerified,
    InvalidAccessToken,
    InvalidCredentials,
    InvalidRefreshToken,
    SessionNotFound,
)
from marketplace.accounts.registration import require_long_enough
from marketplace.accounts.rotation import Outcome, Refreshed, refresh
from marketplace.accounts.schemas import (
    Credentials,
    LogoutScope,
    PasswordChange,
    SessionState,
)
from marketplace.accounts.sessions import (
    OpenedSession,
    end_sessions,
    lock_user,
    open_session,
    record,
)
from marketplace.accounts.tokens import unseal
from marketplace.database import driver_connection
from marketplace.entities import AuditedAction, EndReason, Session, User

ATTEMPTS = 2


async def log_in(
    transaction: AsyncSession, credentials: Credentials, *, accounts: Accounts, client: Client
) -> OpenedSession:
    """A session of its own for each log in. Raises `InvalidCredentials`, `EmailNotVerified`.

    A second attempt is for one whose hash was renewed, not whose password was changed, meanwhile.
    """
    for _ in range(ATTEMPTS):
        user = await _authenticated(
            transaction, credentials.email, password=credentials.password, accounts=accounts
        )
        if user is None:
            break
        if not user.is_verified:
            raise EmailNotVerified
        if await lock_user(transaction, user.id, password_hash=user.password_hash):
            opened = await _open(transaction, user.id, accounts=accounts, client=client)
            await transaction.commit()
            await _renew_hash(transaction, user, credentials.password, accounts=accounts)
            return opened
        await transaction.rollback()
    accounts.metrics.count_session("login_refused")
    raise InvalidCredentials


async def refresh_session(
    engine: AsyncEngine, text: str, *, accounts: Accounts, client: Client
) -> Refreshed:
    """Raises `InvalidRefreshToken`; what was revoked before that stays revoked."""
    token = unseal(text, keys=accounts.keys)
    if token is None:
        accounts.metrics.count_session(Outcome.REFUSED)
        raise InvalidRefreshToken
    await accounts.rates.count(
        accounts.settings.rate.refresh_per_account, "refresh", token.session_id.hex
    )
    async with driver_connection(engine) as connection:
        outcome, refreshed = await refresh(
            connection,
            token,
            keys=accounts.keys,
            settings=accounts.settings.session,
            client=client,
        )
    accounts.metrics.count_session(outcome)
    if refreshed is None:
        raise InvalidRefreshToken
    return refreshed


async def log_out(
    transaction: AsyncSession, principal: Principal, *, scope: LogoutScope
) -> Sequence[UUID]:
    """Ends this session, the others, or all."""
    which, reason = _scope(principal, scope)
    return await _end_own(transaction, principal, which=which, reason=reason)


async def end_own_session(
    transaction: AsyncSession, principal: Principal, session_id: UUID
) -> None:
    """Raises `SessionNotFound`, also for a session of somebody else."""
    which = queries.of_user(principal.user_id) & (Session.id == session_id)
    ended = await _end_own(transaction, principal, which=which, reason=EndReason.LOGOUT)
    if not ended:
        raise SessionNotFound(session_id=session_id)


async def list_sessions(
    transaction: AsyncSession, user_id: UUID, *, state: SessionState
) -> Sequence[Session]:
    """The devices of a user."""
    is_live = state is SessionState.LIVE
    query = queries.live_sessions(user_id) if is_live else queries.ended_sessions(user_id)
    return (await transaction.scalars(query)).all()


async def reauthenticate(
    transaction: AsyncSession, principal: Principal, *, password: SecretStr, accounts: Accounts
) -> None:
    """The session counts as fresh from now on. Raises `InvalidCredentials`."""
    user = await _proven(transaction, principal, password=password, accounts=accounts)
    if not await lock_user(transaction, user.id, password_hash=user.password_hash):
        raise InvalidCredentials
    if await transaction.scalar(queries.reauthenticate(principal.session_id)) is None:
        raise InvalidAccessToken
    await record(
        transaction,
        AuditedAction.SESSION_REAUTHENTICATED,
        user_id=user.id,
        session_id=principal.session_id,
    )
    await transaction.commit()


async def change_password(
    transaction: AsyncSession,
    principal: Principal,
    form: PasswordChange,
    *,
    accounts: Accounts,
    client: Client,
) -> OpenedSession:
    """Every session ends, this one too: the answer is a new one. Raises `InvalidCredentials`."""
    require_long_enough(
        len(form.new_password.get_secret_value()), settings=accounts.settings.password
    )
    user = await _proven(transaction, principal, password=form.current_password, accounts=accounts)
    password_hash = await accounts.passwords.hash(form.new_password)
    if not await lock_user(transaction, user.id, password_hash=user.password_hash):
        raise InvalidCredentials
    await transaction.execute(queries.change_user(user.id, password_hash=password_hash))
    await record(transaction, AuditedAction.USER_PASSWORD_CHANGED, user_id=user.id)
    await end_sessions(transaction, queries.of_user(user.id), reason=EndReason.PASSWORD_CHANGE)
    opened = await _open(transaction, user.id, accounts=accounts, client=client)
    await transaction.commit()
    return opened


async def find_account(transaction: AsyncSession, user_id: UUID) -> User:
    """Raises `InvalidAccessToken` for one that was deleted a moment ago."""
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
    ended = await end_sessions(transaction, which, reason=reason)
    await transaction.commit()
    return ended


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


async def _authenticated(
    transaction: AsyncSession, email: str, *, password: SecretStr, accounts: Accounts
) -> User | None:
    user = await transaction.scalar(queries.user_by_email(email))
    await _let_go(transaction)
    password_hash = None if user is None else user.password_hash
    is_right = await accounts.passwords.is_password(password, password_hash=password_hash)
    return user if is_right else None


async def _proven(
    transaction: AsyncSession, principal: Principal, *, password: SecretStr, accounts: Accounts
) -> User:
    user = await find_account(transaction, principal.user_id)
    await accounts.rates.count(accounts.settings.rate.login_per_account, "login", user.email)
    await _let_go(transaction)
    if not await accounts.passwords.is_password(password, password_hash=user.password_hash):
        raise InvalidCredentials
    return user


async def _let_go(transaction: AsyncSession) -> None:
    """Gives the connection back while a password is hashed. What was read stays readable."""
    await transaction.commit()
    transaction.expunge_all()


async def _renew_hash(
    transaction: AsyncSession, user: User, password: SecretStr, *, accounts: Accounts
) -> None:
    """With today's parameters, when it was made with others."""
    if not accounts.passwords.is_outdated(user.password_hash):
        return
    renewed = queries.change_user(
        user.id, password_hash=await accounts.passwords.hash(password)
    ).where(User.password_hash == user.password_hash)
    await transaction.execute(renewed)
    await transaction.commit()
