"""Accounts over HTTP, for the one who has the account."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, BackgroundTasks, Body, Depends, Query, Request, Response

from marketplace.accounts import registration, service
from marketplace.accounts.clients import CurrentClient
from marketplace.accounts.context import CurrentAccounts
from marketplace.accounts.delivery import deliver, deliver_opened, delivered, drop_cookie
from marketplace.accounts.principal import (
    CurrentPrincipal,
    FreshPrincipal,
    Principal,
    require_fresh,
)
from marketplace.accounts.problems import (
    AccountExists,
    EmailNotVerified,
    FreshAuthenticationNeeded,
    InvalidAccessToken,
    InvalidCredentials,
    InvalidRefreshToken,
    InvalidVerificationToken,
    PasswordTooShort,
    SessionNotFound,
)
from marketplace.accounts.schemas import (
    Account,
    Credentials,
    LogoutScope,
    PasswordChange,
    PasswordProof,
    Refresh,
    Registered,
    Registration,
    SessionDetail,
    SessionList,
    SessionState,
    Tokens,
    Verification,
    VerificationRequest,
)
from marketplace.database import RequestSession
from marketplace.entities import Session
from marketplace.problems import InvalidRequest, TooManyRequests, documented

router = APIRouter(prefix="/auth", tags=["accounts"])


async def count_login(accounts: CurrentAccounts, client: CurrentClient) -> None:
    """Before anything is hashed."""
    await accounts.rates.count(accounts.settings.rate.login_per_ip, "login", client.address)


async def count_refresh(accounts: CurrentAccounts, client: CurrentClient) -> None:
    """Before anything is looked up."""
    await accounts.rates.count(accounts.settings.rate.refresh_per_ip, "refresh", client.address)


CountedLogin = Depends(count_login)
CountedRefresh = Depends(count_refresh)
HASHES = (TooManyRequests, InvalidRequest)


@router.post(
    "/register",
    status_code=201,
    dependencies=[CountedLogin],
    responses=documented(AccountExists, PasswordTooShort, *HASHES),
)
async def register(
    session: RequestSession,
    accounts: CurrentAccounts,
    form: Registration,
    afterwards: BackgroundTasks,
) -> Registered:
    """A new customer, who verifies the e-mail address next."""
    verifiable = await registration.register(session, form, accounts=accounts)
    afterwards.add_task(registration.mail_token, verifiable, accounts=accounts)
    is_shown = accounts.settings.returns_verification_token
    return Registered(
        user_id=verifiable.user_id,
        email=verifiable.email,
        verification_token=verifiable.token if is_shown else None,
    )


@router.post(
    "/verify",
    status_code=204,
    dependencies=[CountedLogin],
    responses=documented(InvalidVerificationToken, *HASHES),
)
async def verify(session: RequestSession, form: Verification) -> None:
    """The e-mail address is the user's; a token works once."""
    await registration.verify(session, form.token.get_secret_value())


@router.post(
    "/verify/resend",
    status_code=202,
    dependencies=[CountedLogin],
    responses=documented(*HASHES),
)
async def resend_verification(
    session: RequestSession,
    accounts: CurrentAccounts,
    form: VerificationRequest,
    afterwards: BackgroundTasks,
) -> None:
    """Another token by mail, if there is anything to verify; the answer is always the same."""
    await accounts.rates.count(accounts.settings.rate.login_per_account, "login", form.email)
    verifiable = await registration.renew_verification(session, form.email, accounts=accounts)
    if verifiable is not None:
        afterwards.add_task(registration.mail_token, verifiable, accounts=accounts)


@router.post(
    "/login",
    dependencies=[CountedLogin],
    responses=documented(InvalidCredentials, EmailNotVerified, *HASHES),
)
async def log_in(
    session: RequestSession,
    accounts: CurrentAccounts,
    client: CurrentClient,
    form: Credentials,
    response: Response,
) -> Tokens:
    """A new session on this device."""
    await accounts.rates.count(accounts.settings.rate.login_per_account, "login", form.email)
    opened = await service.log_in(session, form, accounts=accounts, client=client)
    return deliver_opened(response, opened, accounts=accounts, delivery=form.delivery)


@router.post(
    "/refresh",
    dependencies=[CountedRefresh],
    responses=documented(InvalidRefreshToken, *HASHES),
)
async def refresh(
    request: Request,
    accounts: CurrentAccounts,
    client: CurrentClient,
    response: Response,
    form: Annotated[Refresh, Body(default_factory=Refresh)],
) -> Tokens:
    """New tokens for the refresh token, by the way it came. A retry gets the same refresh token."""
    text, delivery = delivered(request, form)
    refreshed = await service.refresh_session(
        request.app.state.engine, text, accounts=accounts, client=client
    )
    return deliver(response, refreshed, accounts=accounts, delivery=delivery)


@router.post(
    "/logout",
    status_code=204,
    responses=documented(InvalidAccessToken, FreshAuthenticationNeeded, InvalidRequest),
)
async def log_out(
    request: Request,
    session: RequestSession,
    principal: CurrentPrincipal,
    response: Response,
    scope: LogoutScope = LogoutScope.THIS,
) -> None:
    """Ends this session, the others (for which the password was given a moment ago), or all."""
    if scope is LogoutScope.OTHERS:
        await require_fresh(request, principal)
    else:
        drop_cookie(response)
    await service.log_out(session, principal, scope=scope)


@router.post(
    "/reauthenticate",
    status_code=204,
    dependencies=[CountedLogin],
    responses=documented(InvalidAccessToken, InvalidCredentials, *HASHES),
)
async def reauthenticate(
    session: RequestSession,
    accounts: CurrentAccounts,
    principal: CurrentPrincipal,
    form: PasswordProof,
) -> None:
    """The password once more, for what needs it fresh."""
    await service.reauthenticate(session, principal, password=form.password, accounts=accounts)


@router.post(
    "/password",
    dependencies=[CountedLogin],
    responses=documented(InvalidAccessToken, InvalidCredentials, PasswordTooShort, *HASHES),
)
async def change_password(  # each is asked for by FastAPI's name for it
    session: RequestSession,
    accounts: CurrentAccounts,
    client: CurrentClient,
    principal: CurrentPrincipal,
    form: PasswordChange,
    response: Response,
) -> Tokens:
    """Another password. Every session ends; the answer opens a new one for this device."""
    opened = await service.change_password(
        session, principal, form, accounts=accounts, client=client
    )
    return deliver_opened(response, opened, accounts=accounts, delivery=form.delivery)


@router.get("/me", responses=documented(InvalidAccessToken))
async def get_account(session: RequestSession, principal: CurrentPrincipal) -> Account:
    """Who is logged in."""
    return Account.model_validate(await service.find_account(session, principal.user_id))


@router.get("/sessions", responses=documented(InvalidAccessToken, InvalidRequest))
async def list_sessions(
    session: RequestSession,
    principal: CurrentPrincipal,
    state: SessionState = SessionState.LIVE,
) -> SessionList:
    """The devices on which this user is logged in, or was."""
    rows = await service.list_sessions(session, principal.user_id, state=state)
    return SessionList(items=[detail(row, current=principal) for row in rows])


@router.delete(
    "/sessions/{session_id}",
    status_code=204,
    responses=documented(
        InvalidAccessToken, FreshAuthenticationNeeded, SessionNotFound, InvalidRequest
    ),
)
async def end_session(session: RequestSession, principal: FreshPrincipal, session_id: UUID) -> None:
    """Logs one device out."""
    await service.end_own_session(session, principal, session_id)


@router.delete(
    "/sessions",
    status_code=204,
    responses=documented(InvalidAccessToken, FreshAuthenticationNeeded, InvalidRequest),
)
async def end_other_sessions(
    session: RequestSession,
    principal: FreshPrincipal,
    except_: Annotated[Literal["current"], Query(alias="except")],
) -> None:
    """Logs every other device out."""
    await service.log_out(session, principal, scope=LogoutScope.OTHERS)


def detail(row: Session, *, current: Principal) -> SessionDetail:
    """A session as its owner, or an administrator, sees it."""
    return SessionDetail.model_validate(
        {name: getattr(row, name) for name in SessionDetail.model_fields if name != "is_current"}
        | {"is_current": row.id == current.session_id}
    )
