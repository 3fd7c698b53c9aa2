"""How tokens reach a client: the refresh token in a cookie that scripts cannot read, or in the body."""

from fastapi import Request, Response

from marketplace.accounts.context import Accounts
from marketplace.accounts.problems import InvalidRefreshToken
from marketplace.accounts.rotation import Refreshed
from marketplace.accounts.schemas import Delivery, Refresh, Tokens
from marketplace.accounts.sessions import OpenedSession
from marketplace.accounts.tokens import issue_access_token

COOKIE = "__Secure-refresh_token"  # a browser takes that name over TLS only (RFC 6265bis §4.1.3.1)
PATH = "/auth"  # of the cookie: no other route ever sees it


def deliver_opened(
    response: Response, opened: OpenedSession, *, accounts: Accounts, delivery: Delivery
) -> Tokens:
    """Give the client the tokens of a new session."""
    session = accounts.settings.session
    refreshed = Refreshed(
        session_id=opened.session_id,
        user_id=opened.user_id,
        refresh_token=opened.refresh_token,
        refresh_expires_in=int(session.idle.total_seconds()),
        now=opened.now,
    )
    return deliver(response, refreshed, accounts=accounts, delivery=delivery)


def deliver(
    response: Response, refreshed: Refreshed, *, accounts: Accounts, delivery: Delivery
) -> Tokens:
    """Give the client the tokens of a session (RFC 6749 §5.1); no cache keeps the answer."""
    lifetime = accounts.settings.session.access
    access_token = issue_access_token(
        refreshed.session_id,
        user_id=refreshed.user_id,
        now=refreshed.now,
        lifetime=lifetime,
        keys=accounts.keys,
    )
    response.headers["Cache-Control"] = "no-store"
    is_in_body = delivery is Delivery.BODY
    if not is_in_body:
        _set_cookie(response, refreshed.refresh_token, max_age=refreshed.refresh_expires_in)
    return Tokens(
        access_token=access_token,
        expires_in=int(lifetime.total_seconds()),
        refresh_token=refreshed.refresh_token if is_in_body else None,
        refresh_expires_in=refreshed.refresh_expires_in,
        session_id=refreshed.session_id,
    )


def delivered(request: Request, form: Refresh) -> tuple[str, Delivery]:
    """Give the refresh token of a request, and how it came; raises `InvalidRefreshToken` without one."""
    if form.refresh_token is not None:
        return form.refresh_token.get_secret_value(), Delivery.BODY
    cookie = request.cookies.get(COOKIE)
    if cookie is None:
        raise InvalidRefreshToken
    return cookie, Delivery.COOKIE


def drop_cookie(response: Response) -> None:
    """Make the browser forget the refresh token."""
    _set_cookie(response, "", max_age=0)


def _set_cookie(response: Response, token: str, *, max_age: int) -> None:
    response.set_cookie(
        COOKIE, token, max_age=max_age, path=PATH, secure=True, httponly=True, samesite="strict"
    )
