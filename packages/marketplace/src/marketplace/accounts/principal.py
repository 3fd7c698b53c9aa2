"""Who makes a request, and the guards of routes that not everybody may call.

    async def route(principal: CurrentPrincipal) -> ...    anybody who is logged in
    async def route(principal: Administrator) -> ...       an administrator
    async def route(principal: FreshAdministrator) -> ...  one who gave the password a moment ago

Nothing stands between this and the database: a session that was revoked is refused at once.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from marketplace.accounts.problems import (
    FreshAuthenticationNeeded,
    InvalidAccessToken,
    RoleNotAllowed,
    SecondFactorRequired,
)
from marketplace.accounts.tokens import read_access_token
from marketplace.database import RequestTransactions
from marketplace.entities import AuditedAction, AuditEvent, Role

bearer = HTTPBearer(auto_error=False, description="The access token of /auth/login.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A user in a live session. `seen_at` is the database's clock at the look-up."""

    user_id: UUID
    session_id: UUID
    role: Role
    vendor_id: UUID | None
    authenticated_at: datetime
    seen_at: datetime
    has_second_factor: bool = False
    lacks_second_factor: bool = (
        False  # an administrator who has no rights as such before it is set up
    )

    def without_rights(self) -> "Principal":
        """Give an administrator the rights of a customer, until there is a second factor."""
        return replace(self, role=Role.CUSTOMER, lacks_second_factor=True)


async def current_principal(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
) -> Principal:
    """Give the user and session of the access token. Raises `InvalidAccessToken`."""
    state = request.app.state
    keys = state.accounts.keys
    token = read_access_token(credentials.credentials, keys=keys) if credentials else None
    if token is None:
        raise InvalidAccessToken
    principal: Principal | None = await state.principals.find(token)
    if principal is None:
        raise InvalidAccessToken
    is_bare = principal.role is Role.ADMIN and not principal.has_second_factor
    if is_bare and state.settings.administrators_need_second_factor:
        return principal.without_rights()
    return principal


CurrentPrincipal = Annotated[Principal, Depends(current_principal)]


def require_role(*roles: Role) -> Callable[[Principal], Awaitable[Principal]]:
    """Give the principal if it has one of these roles; raises `RoleNotAllowed`, `SecondFactorRequired`."""

    async def principal_in_role(principal: CurrentPrincipal) -> Principal:
        if principal.lacks_second_factor and Role.ADMIN in roles:
            raise SecondFactorRequired
        if principal.role not in roles:
            raise RoleNotAllowed(allowed=" or ".join(roles))
        return principal

    return principal_in_role


async def require_fresh(request: Request, principal: CurrentPrincipal) -> Principal:
    """Give the principal if the password was given a moment ago; raises `FreshAuthenticationNeeded`."""
    if (
        principal.seen_at - principal.authenticated_at
        > request.app.state.accounts.settings.session.fresh
    ):
        raise FreshAuthenticationNeeded
    return principal


FreshPrincipal = Annotated[Principal, Depends(require_fresh)]


async def require_administrator(
    request: Request,
    transactions: RequestTransactions,
    principal: Annotated[Principal, Depends(require_role(Role.ADMIN))],
) -> Principal:
    """Give the administrator, and record what is read, whatever the route."""
    if request.method == "GET":
        await transactions.write(
            record_read,
            principal,
            about=request.path_params.get("user_id"),
            what=request.scope["route"].path_format,
        )
    return principal


async def record_read(
    session: AsyncSession, principal: Principal, *, about: UUID | str | None, what: str
) -> None:
    """Record that an administrator has read something, about a user if there is one."""
    await session.execute(
        insert(AuditEvent).values(
            action=AuditedAction.ADMIN_READ,
            user_id=_uuid(about) or principal.user_id,
            session_id=principal.session_id,
            actor_id=principal.user_id,
            reason=what[:32],
        )
    )


def _uuid(text: UUID | str | None) -> UUID | None:
    """Parse an id; None for a path that names no user and is refused in a moment."""
    try:
        return UUID(str(text)) if text is not None else None
    except ValueError:
        return None


Administrator = Annotated[Principal, Depends(require_administrator)]
Editor = Annotated[Principal, Depends(require_role(Role.VENDOR, Role.ADMIN))]
VendorStaff = Annotated[Principal, Depends(require_role(Role.VENDOR))]


async def require_fresh_administrator(request: Request, principal: Administrator) -> Principal:
    """Give the administrator if the password was given a moment ago."""
    return await require_fresh(request, principal)


FreshAdministrator = Annotated[Principal, Depends(require_fresh_administrator)]
