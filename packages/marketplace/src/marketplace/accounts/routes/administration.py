"""Accounts over HTTP, for administrators; what changes something needs a fresh password."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query

from marketplace.accounts.context import CurrentAccounts
from marketplace.accounts.principal import Administrator, FreshAdministrator
from marketplace.accounts.problems import (
    FreshAuthenticationNeeded,
    InvalidAccessToken,
    LastAdministrator,
    LetterNotFound,
    NoSecondFactor,
    RoleNotAllowed,
    SecondFactorRequired,
    SessionNotFound,
    UnknownVendor,
    UserNotFound,
)
from marketplace.accounts.schemas import (
    AccountFilters,
    AccountPage,
    AuditFilters,
    AuditPage,
    DeadLetterPage,
    RoleChange,
    SessionList,
    SessionState,
)
from marketplace.accounts.service import administration, own
from marketplace.cursors import Cursors, PageRequest, cursors_of
from marketplace.database import RequestTransactions
from marketplace.problems import InvalidCursor, InvalidRequest, api_router, documented

router = api_router(prefix="/admin", tags=["administration"])
READS = (InvalidAccessToken, RoleNotAllowed, SecondFactorRequired, InvalidRequest)
CHANGES = (*READS, FreshAuthenticationNeeded)


@router.get("/users", responses=documented(*READS, InvalidCursor))
async def list_users(
    transactions: RequestTransactions,
    _: Administrator,
    filters: Annotated[AccountFilters, Query()],
    cursors: Annotated[Cursors, Depends(cursors_of("users"))],
) -> AccountPage:
    """List users by e-mail, a page at a time."""
    return await transactions.read(administration.list_accounts, filters=filters, cursors=cursors)


@router.get("/users/{user_id}/sessions", responses=documented(*READS))
async def list_sessions(
    transactions: RequestTransactions,
    principal: Administrator,
    user_id: UUID,
    state: SessionState = SessionState.LIVE,
) -> SessionList:
    """List the devices on which a user is logged in, or was."""
    rows = await transactions.read(own.list_sessions, user_id, state=state)
    return SessionList.of(rows, current=principal)


@router.delete(
    "/users/{user_id}/sessions", status_code=204, responses=documented(*CHANGES, UserNotFound)
)
async def end_sessions(
    transactions: RequestTransactions, principal: FreshAdministrator, user_id: UUID
) -> None:
    """Log a user out everywhere."""
    await transactions.write(administration.end_sessions_of, user_id, actor_id=principal.user_id)


@router.delete(
    "/sessions/{session_id}", status_code=204, responses=documented(*CHANGES, SessionNotFound)
)
async def end_session(
    transactions: RequestTransactions, principal: FreshAdministrator, session_id: UUID
) -> None:
    """Log one device of a user out."""
    await transactions.write(administration.end_session, session_id, actor_id=principal.user_id)


@router.post(
    "/users/{user_id}/disable",
    status_code=204,
    responses=documented(*CHANGES, UserNotFound, LastAdministrator),
)
async def disable(
    transactions: RequestTransactions, principal: FreshAdministrator, user_id: UUID
) -> None:
    """Log a user out everywhere, for good."""
    await transactions.write(administration.disable, user_id, actor_id=principal.user_id)


@router.post(
    "/users/{user_id}/enable", status_code=204, responses=documented(*CHANGES, UserNotFound)
)
async def enable(
    transactions: RequestTransactions, principal: FreshAdministrator, user_id: UUID
) -> None:
    """Let a user log in again."""
    await transactions.write(administration.enable, user_id, actor_id=principal.user_id)


@router.put(
    "/users/{user_id}/role",
    status_code=204,
    responses=documented(*CHANGES, UserNotFound, UnknownVendor, LastAdministrator),
)
async def change_role(
    transactions: RequestTransactions,
    principal: FreshAdministrator,
    user_id: UUID,
    form: RoleChange,
) -> None:
    """Make a user a customer, staff of a vendor, or an administrator."""
    await transactions.write(administration.change_role, user_id, form, actor_id=principal.user_id)


@router.get("/audit-events", responses=documented(*READS, InvalidCursor))
async def list_audit_events(
    transactions: RequestTransactions,
    _: Administrator,
    filters: Annotated[AuditFilters, Query()],
    cursors: Annotated[Cursors, Depends(cursors_of("audit events"))],
) -> AuditPage:
    """List what happened to accounts and sessions, who failed to log in, and what administrators read."""
    return await transactions.read(administration.list_audit, filters=filters, cursors=cursors)


@router.delete(
    "/users/{user_id}/second-factor",
    status_code=204,
    responses=documented(*CHANGES, UserNotFound, NoSecondFactor),
)
async def remove_second_factor(
    transactions: RequestTransactions,
    accounts: CurrentAccounts,
    principal: FreshAdministrator,
    user_id: UUID,
) -> None:
    """Remove the second factor of a user who has lost it and the recovery codes. Every session of theirs ends."""
    await transactions.write(
        administration.remove_second_factor,
        user_id,
        actor_id=principal.user_id,
        accounts=accounts,
    )


@router.get("/dead-letters", responses=documented(*READS, InvalidCursor))
async def list_dead_letters(
    transactions: RequestTransactions,
    _: Administrator,
    page: Annotated[PageRequest, Query()],
    cursors: Annotated[Cursors, Depends(cursors_of("dead letters"))],
) -> DeadLetterPage:
    """List letters that the mail server did not take in half a day, the newest first, without their texts."""
    return await transactions.read(administration.list_dead_letters, page=page, cursors=cursors)


@router.post(
    "/dead-letters/{letter_id}/retry",
    status_code=204,
    responses=documented(*CHANGES, LetterNotFound),
)
async def try_letter_again(
    transactions: RequestTransactions, _: FreshAdministrator, letter_id: UUID
) -> None:
    """Send a letter after all that was given up on."""
    await transactions.write(administration.try_letter_again, letter_id)
