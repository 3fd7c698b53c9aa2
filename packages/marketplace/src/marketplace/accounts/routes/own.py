"""Log in, refresh, log out, devices and password over HTTP, for the owner of the account."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import Body, Query, Request, Response

from marketplace.accounts.clients import CurrentClient, client_of
from marketplace.accounts.context import CurrentAccounts, accounts_of
from marketplace.accounts.delivery import deliver, deliver_opened, delivered, drop_cookie
from marketplace.accounts.principal import CurrentPrincipal, FreshPrincipal, require_fresh
from marketplace.accounts.problems import (
    EmailNotVerified,
    FreshAuthenticationNeeded,
    InvalidAccessToken,
    InvalidCredentials,
    InvalidRefreshToken,
    InvalidSecondFactor,
    PasswordTooShort,
    PasswordTooWeak,
    SecondFactorNeeded,
    SessionNotFound,
)
from marketplace.accounts.rate_guards import CountedLogin, CountedRefresh, count_refresh
from marketplace.accounts.schemas import (
    Account,
    Credentials,
    LogoutScope,
    PasswordChange,
    PasswordProof,
    Refresh,
    SessionList,
    SessionState,
    Tokens,
)
from marketplace.accounts.service import own
from marketplace.database import RequestTransactions, transactions_of
from marketplace.direct import Direct, answer_with, route_of
from marketplace.problems import InvalidRequest, TooManyRequests, api_router, documented

router = api_router(prefix="/auth", tags=["accounts"])


HASHES = (TooManyRequests, InvalidRequest)
PROOF = (InvalidAccessToken, InvalidCredentials, SecondFactorNeeded, InvalidSecondFactor)


@router.post(
    "/login",
    dependencies=[CountedLogin],
    responses=documented(
        InvalidCredentials, SecondFactorNeeded, InvalidSecondFactor, EmailNotVerified, *HASHES
    ),
)
async def log_in(
    transactions: RequestTransactions,
    accounts: CurrentAccounts,
    client: CurrentClient,
    form: Credentials,
    response: Response,
) -> Tokens:
    """Open a new session on this device."""
    opened = await own.log_in(transactions, form, accounts=accounts, client=client)
    return deliver_opened(response, opened, accounts=accounts, delivery=form.delivery)


@router.post(
    "/refresh",
    dependencies=[CountedRefresh],
    responses=documented(InvalidRefreshToken, *HASHES),
)
async def refresh(
    request: Request,
    transactions: RequestTransactions,
    accounts: CurrentAccounts,
    client: CurrentClient,
    response: Response,
    form: Annotated[Refresh, Body(default_factory=Refresh)],
) -> Tokens:
    """Get new tokens for the refresh token, the way it came. A retry gets the same refresh token."""
    text, delivery = delivered(request, form)
    refreshed = await own.refresh_session(transactions, text, accounts=accounts, client=client)
    return deliver(response, refreshed, accounts=accounts, delivery=delivery)


async def refresh_directly(request: Request, form: Refresh) -> Response:
    """Refresh as `refresh` does, for a plain request."""
    accounts, client = await accounts_of(request), await client_of(request)
    await count_refresh(accounts, client)
    said, transactions = Response(), await transactions_of(request)
    tokens = await refresh(request, transactions, accounts, client, said, form)
    return answer_with(tokens, like=said)


@router.post(
    "/logout",
    status_code=204,
    responses=documented(InvalidAccessToken, FreshAuthenticationNeeded, InvalidRequest),
)
async def log_out(
    request: Request,
    transactions: RequestTransactions,
    principal: CurrentPrincipal,
    response: Response,
    scope: LogoutScope = LogoutScope.THIS,
) -> None:
    """End this session, the others (for which the password was given a moment ago), or all."""
    if scope is LogoutScope.OTHERS:
        await require_fresh(request, principal)
    else:
        drop_cookie(response)
    await transactions.write(own.log_out, principal, scope=scope)


@router.post(
    "/reauthenticate",
    status_code=204,
    dependencies=[CountedLogin],
    responses=documented(*PROOF, *HASHES),
)
async def reauthenticate(
    transactions: RequestTransactions,
    accounts: CurrentAccounts,
    client: CurrentClient,
    principal: CurrentPrincipal,
    form: PasswordProof,
) -> None:
    """Give the password once more, for what needs it fresh."""
    await own.reauthenticate(transactions, principal, form, accounts=accounts, client=client)


@router.post(
    "/password",
    dependencies=[CountedLogin],
    responses=documented(*PROOF, PasswordTooShort, PasswordTooWeak, *HASHES),
)
async def change_password(  # each is asked for by FastAPI's name for it
    transactions: RequestTransactions,
    accounts: CurrentAccounts,
    client: CurrentClient,
    principal: CurrentPrincipal,
    form: PasswordChange,
    response: Response,
) -> Tokens:
    """Change the password. Every session ends; the answer opens a new one for this device."""
    opened = await own.change_password(
        transactions, principal, form, accounts=accounts, client=client
    )
    return deliver_opened(response, opened, accounts=accounts, delivery=form.delivery)


@router.get("/me", responses=documented(InvalidAccessToken))
async def get_account(transactions: RequestTransactions, principal: CurrentPrincipal) -> Account:
    """Get the account of the user who is logged in."""
    return Account.model_validate(await transactions.read(own.find_account, principal.user_id))


@router.get("/sessions", responses=documented(InvalidAccessToken, InvalidRequest))
async def list_sessions(
    transactions: RequestTransactions,
    principal: CurrentPrincipal,
    state: SessionState = SessionState.LIVE,
) -> SessionList:
    """List the devices on which this user is logged in, or was."""
    rows = await transactions.read(own.list_sessions, principal.user_id, state=state)
    return SessionList.of(rows, current=principal)


@router.delete(
    "/sessions/{session_id}",
    status_code=204,
    responses=documented(
        InvalidAccessToken, FreshAuthenticationNeeded, SessionNotFound, InvalidRequest
    ),
)
async def end_session(
    transactions: RequestTransactions, principal: FreshPrincipal, session_id: UUID
) -> None:
    """Log out one device of the user."""
    await transactions.write(own.end_own_session, principal, session_id)


@router.delete(
    "/sessions",
    status_code=204,
    responses=documented(InvalidAccessToken, FreshAuthenticationNeeded, InvalidRequest),
)
async def end_other_sessions(
    transactions: RequestTransactions,
    principal: FreshPrincipal,
    except_: Annotated[Literal["current"], Query(alias="except")],
) -> None:
    """Log out every device of the user but this one."""
    await transactions.write(own.log_out, principal, scope=LogoutScope.OTHERS)


DIRECT = [Direct(route=route_of(router, refresh), answer=refresh_directly, form=Refresh)]
