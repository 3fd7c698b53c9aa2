"""Accounts over HTTP, for administrators; what changes something needs a fresh password."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from marketplace.accounts import administration, service
from marketplace.accounts.context import CurrentAccounts
from marketplace.accounts.principal import Principal, require_fresh, require_role
from marketplace.accounts.problems import (
    FreshAuthenticationNeeded,
    InvalidAccessToken,
    RoleNotAllowed,
    SessionNotFound,
    UnknownVendor,
    UserNotFound,
)
from marketplace.accounts.routes import detail
from marketplace.accounts.schemas import (
    AccountFilters,
    AccountPage,
    RoleChange,
    SessionList,
    SessionState,
)
from marketplace.database import RequestSession
from marketplace.entities import Role
from marketplace.problems import InvalidCursor, InvalidRequest, documented

router = APIRouter(prefix="/admin", tags=["administration"])
Administrator = Annotated[Principal, Depends(require_role(Role.ADMIN))]
Fresh = Depends(require_fresh)
READS = (InvalidAccessToken, RoleNotAllowed, InvalidRequest)
CHANGES = (*READS, FreshAuthenticationNeeded)


@router.get("/users", responses=documented(*READS, InvalidCursor))
async def list_users(
    session: RequestSession,
    accounts: CurrentAccounts,
    _: Administrator,
    filters: Annotated[AccountFilters, Query()],
) -> AccountPage:
    """Users by e-mail, a page at a time."""
    return await administration.list_accounts(session, filters=filters, cursors=accounts.cursors)


@router.get("/users/{user_id}/sessions", responses=documented(*READS))
async def list_sessions(
    session: RequestSession,
    principal: Administrator,
    user_id: UUID,
    state: SessionState = SessionState.LIVE,
) -> SessionList:
    """The devices on which a user is logged in, or was."""
    rows = await service.list_sessions(session, user_id, state=state)
    return SessionList(items=[detail(row, current=principal) for row in rows])


@router.delete(
    "/users/{user_id}/sessions",
    status_code=204,
    dependencies=[Fresh],
    responses=documented(*CHANGES, UserNotFound),
)
async def end_sessions(session: RequestSession, principal: Administrator, user_id: UUID) -> None:
    """Logs a user out everywhere."""
    await administration.end_sessions_of(session, user_id, actor_id=principal.user_id)


@router.delete(
    "/sessions/{session_id}",
    status_code=204,
    dependencies=[Fresh],
    responses=documented(*CHANGES, SessionNotFound),
)
async def end_session(session: RequestSession, principal: Administrator, session_id: UUID) -> None:
    """Logs one device of a user out."""
    await administration.end_session(session, session_id, actor_id=principal.user_id)


@router.post(
    "/users/{user_id}/disable",
    status_code=204,
    dependencies=[Fresh],
    responses=documented(*CHANGES, UserNotFound),
)
async def disable(session: RequestSession, principal: Administrator, user_id: UUID) -> None:
    """Logs a user out everywhere, for good."""
    await administration.disable(session, user_id, actor_id=principal.user_id)


@router.post(
    "/users/{user_id}/enable",
    status_code=204,
    dependencies=[Fresh],
    responses=documented(*CHANGES, UserNotFound),
)
async def enable(session: RequestSession, principal: Administrator, user_id: UUID) -> None:
    """Lets a user log in again."""
    await administration.enable(session, user_id, actor_id=principal.user_id)


@router.put(
    "/users/{user_id}/role",
    status_code=204,
    dependencies=[Fresh],
    responses=documented(*CHANGES, UserNotFound, UnknownVendor),
)
async def change_role(
    session: RequestSession, principal: Administrator, user_id: UUID, form: RoleChange
) -> None:
    """Makes a user a customer, staff of a vendor, or an administrator."""
    await administration.change_role(session, user_id, form, actor_id=principal.user_id)
