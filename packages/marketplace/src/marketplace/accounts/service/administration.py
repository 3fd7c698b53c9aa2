"""What administrators do to accounts: find them, end their sessions, disable them, give them a role."""

from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from marketplace.accounts import queries, second_factor
from marketplace.accounts.context import Accounts
from marketplace.accounts.problems import (
    LastAdministrator,
    LetterNotFound,
    SessionNotFound,
    UnknownVendor,
    UserNotFound,
)
from marketplace.accounts.schemas import (
    Account,
    AccountFilters,
    AccountPage,
    AuditFilters,
    AuditPage,
    AuditRecord,
    DeadLetter,
    DeadLetterPage,
    RoleChange,
)
from marketplace.accounts.sessions import end_sessions, lock_user, record
from marketplace.cursors import Cursors, PageRequest, Position
from marketplace.entities import AuditedAction, EndReason, LetterKind, Role, Session, User
from marketplace.errors import AccountDisabled


async def list_accounts(
    transaction: AsyncSession, *, filters: AccountFilters, cursors: Cursors
) -> AccountPage:
    """Give one page of users, by e-mail."""
    query = queries.user_page(
        is_verified=filters.is_verified, after=cursors.start(filters), limit=filters.limit
    )
    users, next_cursor = cursors.cut(
        list(await transaction.scalars(query)),
        limit=filters.limit,
        position=lambda user: Position(value=user.email, key=user.id),
    )
    items = [Account.model_validate(user) for user in users]
    return AccountPage(items=items, next_cursor=next_cursor)


async def list_audit(
    transaction: AsyncSession, *, filters: AuditFilters, cursors: Cursors
) -> AuditPage:
    """Give one page of audit records, the newest first."""
    query = queries.audit_page(filters, after=cursors.start(filters))
    events, next_cursor = cursors.cut(
        list(await transaction.scalars(query)),
        limit=filters.limit,
        position=lambda event: Position(value=str(event.id), key=event.user_id),
    )
    items = [AuditRecord.model_validate(event) for event in events]
    return AuditPage(items=items, next_cursor=next_cursor)


async def end_sessions_of(transaction: AsyncSession, user_id: UUID, *, actor_id: UUID) -> None:
    """End all sessions of a user. Raises `UserNotFound`."""
    await _end(transaction, user_id, which=queries.of_user(user_id), actor_id=actor_id)


async def end_session(transaction: AsyncSession, session_id: UUID, *, actor_id: UUID) -> None:
    """End one session, of whichever user. Raises `SessionNotFound`."""
    session = await transaction.scalar(select(Session).where(Session.id == session_id))
    if session is None or session.is_revoked:
        raise SessionNotFound(session_id=session_id)
    which = queries.of_user(session.user_id) & (Session.id == session_id)
    await _end(transaction, session.user_id, which=which, actor_id=actor_id)


async def disable(transaction: AsyncSession, user_id: UUID, *, actor_id: UUID) -> None:
    """End all sessions of a user and allow no new ones. Raises `UserNotFound`, `LastAdministrator`."""
    await require_another_administrator(transaction, user_id)
    await _end(
        transaction,
        user_id,
        which=queries.of_user(user_id),
        actor_id=actor_id,
        reason=EndReason.USER_DISABLED,
    )
    await transaction.execute(queries.change_user(user_id, disabled_at=queries.NOW))
    await record(transaction, AuditedAction.USER_DISABLED, user_id=user_id, actor_id=actor_id)


async def enable(transaction: AsyncSession, user_id: UUID, *, actor_id: UUID) -> None:
    """Let a user log in again. Raises `UserNotFound`."""
    if await transaction.scalar(queries.change_user(user_id, disabled_at=None)) is None:
        raise UserNotFound(user_id=user_id)
    await record(transaction, AuditedAction.USER_ENABLED, user_id=user_id, actor_id=actor_id)


async def change_role(
    transaction: AsyncSession, user_id: UUID, form: RoleChange, *, actor_id: UUID
) -> None:
    """Give a user another role, in force with the next request.

    Raises `UserNotFound`, `UnknownVendor`, `LastAdministrator`.
    """
    if form.role is not Role.ADMIN:
        await require_another_administrator(transaction, user_id)
    change = queries.change_user(user_id, role=form.role, vendor_id=form.vendor_id)
    try:
        changed = await transaction.scalar(change)
    except IntegrityError as error:
        if form.vendor_id is None:
            raise
        raise UnknownVendor(vendor_id=form.vendor_id) from error
    if changed is None:
        raise UserNotFound(user_id=user_id)
    await record(
        transaction,
        AuditedAction.USER_ROLE_CHANGED,
        user_id=user_id,
        actor_id=actor_id,
        reason=form.role.value,
    )


async def list_dead_letters(
    transaction: AsyncSession, *, page: PageRequest, cursors: Cursors
) -> DeadLetterPage:
    """Give one page of the letters that were given up on, the newest first."""
    query = queries.dead_letter_page(page.limit, after=cursors.start(page))
    letters, next_cursor = cursors.cut(
        list(await transaction.scalars(query)),
        limit=page.limit,
        position=lambda letter: Position.at(letter.gave_up_at or letter.created_at, letter.id),
    )
    items = [DeadLetter.model_validate(letter) for letter in letters]
    return DeadLetterPage(items=items, next_cursor=next_cursor)


async def try_letter_again(transaction: AsyncSession, letter_id: UUID) -> None:
    """Put a letter that was given up on among those that are sent. Raises `LetterNotFound`."""
    if await transaction.scalar(queries.try_letter_again(letter_id)) is None:
        raise LetterNotFound(letter_id=letter_id)


async def remove_second_factor(
    transaction: AsyncSession, user_id: UUID, *, actor_id: UUID, accounts: Accounts
) -> None:
    """Remove the factor of a user who has lost it and all codes: every session ends. Raises `NoSecondFactor`."""
    user = await transaction.get(User, user_id, with_for_update={"key_share": True})
    if user is None:
        raise UserNotFound(user_id=user_id)
    await second_factor.forget(transaction, user_id)
    await record(
        transaction,
        AuditedAction.USER_SECOND_FACTOR_REMOVED,
        user_id=user_id,
        actor_id=actor_id,
    )
    await end_sessions(
        transaction, queries.of_user(user_id), reason=EndReason.ADMIN, actor_id=actor_id
    )
    what = "An administrator of the shop has removed the second factor of your account."
    await accounts.outbox.put(
        transaction,
        LetterKind.SECOND_FACTOR_CHANGED,
        to=user.email,
        user_id=user_id,
        what=what,
    )


async def appoint(transaction: AsyncSession, email: str) -> bool:
    """Make the owner of this account an administrator, for the operator.

    False: nobody has this address, or nobody has verified it, so that its password may be anybody's. Raises
    `AccountDisabled`.
    """
    user = await transaction.scalar(queries.user_by_email(email))
    if user is None or not user.is_verified:
        return False
    if user.disabled_at is not None:
        raise AccountDisabled(email=email)
    await transaction.execute(queries.change_user(user.id, role=Role.ADMIN, vendor_id=None))
    await record(
        transaction, AuditedAction.USER_ROLE_CHANGED, user_id=user.id, reason=Role.ADMIN.value
    )
    return True


async def require_another_administrator(transaction: AsyncSession, user_id: UUID) -> None:
    """Raise `LastAdministrator` if there is no other; until the commit no other one is removed either."""
    if list(await transaction.scalars(queries.administrators())) == [user_id]:
        raise LastAdministrator


async def _end(
    transaction: AsyncSession,
    user_id: UUID,
    *,
    which: ColumnElement[bool],
    actor_id: UUID,
    reason: EndReason = EndReason.ADMIN,
) -> None:
    if not await lock_user(transaction, user_id):
        raise UserNotFound(user_id=user_id)
    await end_sessions(transaction, which, reason=reason, actor_id=actor_id)
