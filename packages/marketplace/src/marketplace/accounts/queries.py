"""The statements on users and sessions, apart from the two hot ones (`principal`, `rotation`).

Whatever opens or ends sessions locks the user's row first. So a log in and a password change, or two
log ins at the limit, come one after the other, and no two of them can lock sessions crosswise. A
refresh locks its own session only: `NOT is_revoked` in its UPDATE is what a revocation wins by.
"""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Delete,
    Insert,
    Select,
    Update,
    cast,
    delete,
    func,
    insert,
    literal,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import Insert as Upsert
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.sql.dml import ReturningDelete, ReturningInsert

from marketplace.accounts.clients import Client
from marketplace.accounts.schemas import AuditFilters
from marketplace.cursors import Position
from marketplace.entities import (
    AuditEvent,
    EmailChange,
    EmailVerification,
    EndReason,
    Letter,
    Order,
    Role,
    Session,
    User,
)
from marketplace.settings import SessionSettings

NOW = func.now()
IS_ALIVE = ~Session.is_revoked & (Session.expires_at > NOW)
MOST_ENDED = 100  # sessions that a list of ended ones shows


def user_by_email(email: str) -> Select[User]:
    """Select a user; gives one row or none."""
    return select(User).where(User.email == email)


def user_by_id(user_id: UUID) -> Select[User]:
    """Select a user; gives one row or none."""
    return select(User).where(User.id == user_id)


def lock_user(user_id: UUID, *, password_hash: str | None = None) -> Select[UUID]:
    """Lock a user; gives no row if the user is gone, disabled, or has another password by now.

    FOR NO KEY UPDATE: rows that refer to the user can be inserted meanwhile.
    """
    query = select(User.id).where(User.id == user_id).with_for_update(key_share=True)
    if password_hash is None:
        return query
    return query.where(User.password_hash == password_hash, User.disabled_at.is_(None))


def open_session(
    session_id: UUID,
    *,
    user_id: UUID,
    token_hash: bytes,
    client: Client,
    settings: SessionSettings,
) -> Insert:
    """Insert a session; gives the clock from a column, as in RETURNING several servers would each say their own."""
    return (
        insert(Session)
        .values(
            id=session_id,
            user_id=user_id,
            refresh_token_hash=token_hash,
            user_agent=client.user_agent,
            ip_address=client.stored_address,
            expires_at=NOW + settings.idle,
            absolute_expires_at=NOW + settings.absolute,
        )
        .returning(Session.created_at)
    )


def revoke(which: ColumnElement[bool], *, reason: EndReason) -> Update:
    """End the sessions that are still alive; gives their keys and users."""
    return (
        update(Session)
        .where(which, IS_ALIVE)
        .values(is_revoked=True, revoked_at=NOW, revoked_reason=reason)
        .returning(Session.id, Session.user_id)
        .execution_options(synchronize_session=False)
    )


def of_user(user_id: UUID) -> ColumnElement[bool]:
    """Give the condition for all sessions of a user."""
    return Session.user_id == user_id


def beyond(limit: int, *, user_id: UUID) -> ColumnElement[bool]:
    """Give the condition for a user's live sessions except the `limit` used last."""
    kept = (
        select(Session.id)
        .where(Session.user_id == user_id, IS_ALIVE)
        .order_by(Session.last_used_at.desc(), Session.id.desc())
        .offset(limit)
    )
    return (Session.user_id == user_id) & Session.id.in_(kept)


def reauthenticate(session_id: UUID, *, user_id: UUID) -> Update:
    """Mark a session as fresh; gives no row if it has ended meanwhile."""
    return (
        update(Session)
        .where(Session.user_id == user_id, Session.id == session_id, IS_ALIVE)
        .values(authenticated_at=NOW)
        .returning(Session.id)
        .execution_options(synchronize_session=False)
    )


def change_user(user_id: UUID, **values: object) -> Update:
    """Set columns of one user; gives no row if there is none."""
    return (
        update(User)
        .where(User.id == user_id)
        .values(**values)
        .returning(User.id)
        .execution_options(synchronize_session=False)
    )


def live_sessions(user_id: UUID) -> Select[Session]:
    """Select the devices on which a user is logged in, the one used last first."""
    return (
        select(Session)
        .where(Session.user_id == user_id, IS_ALIVE)
        .order_by(Session.last_used_at.desc(), Session.id.desc())
    )


def ended_sessions(user_id: UUID) -> Select[Session]:
    """Select the newest ended sessions, for as long as they are kept."""
    return (
        select(Session)
        .where(Session.user_id == user_id, ~IS_ALIVE)
        .order_by(func.coalesce(Session.revoked_at, Session.expires_at).desc(), Session.id.desc())
        .limit(MOST_ENDED)
    )


def add_user(user_id: UUID, *, email: str) -> ReturningInsert[UUID]:
    """Insert a user; gives no row if the address has an account, which is left as it is."""
    return (
        upsert(User)
        .values(id=user_id, email=email)
        .on_conflict_do_nothing(index_elements=[User.email])
        .returning(User.id)
    )


def locked_user_by_email(email: str) -> Select[User]:
    """Select and lock one user: sessions and password stay as they are until the commit."""
    return user_by_email(email).with_for_update(key_share=True)


def administrators() -> Select[UUID]:
    """Select and lock the administrators who may log in, so that removals happen one after the other."""
    return (
        select(User.id)
        .where(User.role == Role.ADMIN, User.is_verified, User.disabled_at.is_(None))
        .order_by(User.id)
        .with_for_update(key_share=True)
    )


def was_here_before(user_id: UUID, *, address: str) -> Select[UUID]:
    """Give a row if the user has logged in from this address before."""
    return (
        select(Session.id).where(Session.user_id == user_id, Session.ip_address == address).limit(1)
    )


def is_known_device(user_id: UUID, client: Client) -> Select[bool]:
    """Whether the user has used this user agent from this address before, or has had no session at all."""
    of_device = Session.user_agent.is_not_distinct_from(client.user_agent) & (
        Session.ip_address.is_not_distinct_from(
            cast(literal(client.stored_address), Session.ip_address.type)
        )
    )
    known = func.bool_or(of_device)
    return select(func.coalesce(known, True)).where(Session.user_id == user_id)  # a value of SQL


def audit_page(filters: AuditFilters, *, after: Position | None) -> Select[AuditEvent]:
    """Select records, the newest first, and one more."""
    query = select(AuditEvent).order_by(AuditEvent.id.desc()).limit(filters.limit + 1)
    if filters.user_id is not None:
        query = query.where(AuditEvent.user_id == filters.user_id)
    if filters.action is not None:
        query = query.where(AuditEvent.action == filters.action)
    return query if after is None else query.where(AuditEvent.id < int(after.value))


def put_verification(user_id: UUID, *, token_hash: bytes, lifetime: timedelta) -> Upsert:
    """Insert a verification token, which replaces and so ends the one before."""
    values = {"token_hash": token_hash, "created_at": NOW, "expires_at": NOW + lifetime}
    put = upsert(EmailVerification).values(user_id=user_id, **values)
    newest = {name: put.excluded[name] for name in values}
    return put.on_conflict_do_update(index_elements=[EmailVerification.user_id], set_=newest)


def verification(user_id: UUID, *, token_hash: bytes) -> Select[User]:
    """Select the user of a token that is right and in time."""
    return (
        select(User)
        .join(EmailVerification, EmailVerification.user_id == User.id)
        .where(
            User.id == user_id,
            User.disabled_at.is_(None),
            EmailVerification.token_hash == token_hash,
            EmailVerification.expires_at > NOW,
        )
    )


def take_verification(user_id: UUID, *, token_hash: bytes) -> ReturningDelete[UUID]:
    """Delete a token that is right and in time; gives a row for its one use."""
    return (
        delete(EmailVerification)
        .where(
            EmailVerification.user_id == user_id,
            EmailVerification.token_hash == token_hash,
            EmailVerification.expires_at > NOW,
        )
        .returning(EmailVerification.user_id)
        .execution_options(synchronize_session=False)
    )


def put_email_change(
    user_id: UUID, *, new_email: str, token_hash: bytes, lifetime: timedelta
) -> Upsert:
    """Insert a change of address, which replaces and so ends the one before."""
    values = {
        "new_email": new_email,
        "token_hash": token_hash,
        "created_at": NOW,
        "expires_at": NOW + lifetime,
    }
    put = upsert(EmailChange).values(user_id=user_id, **values)
    newest = {name: put.excluded[name] for name in values}
    return put.on_conflict_do_update(index_elements=[EmailChange.user_id], set_=newest)


def take_email_change(user_id: UUID, *, token_hash: bytes) -> ReturningDelete[str]:
    """Delete a change of address; gives the new address, for the token's one use."""
    return (
        delete(EmailChange)
        .where(
            EmailChange.user_id == user_id,
            EmailChange.token_hash == token_hash,
            EmailChange.expires_at > NOW,
        )
        .returning(EmailChange.new_email)
        .execution_options(synchronize_session=False)
    )


def drop_email_change(user_id: UUID) -> Delete:
    """Delete a requested change of address."""
    return delete(EmailChange).where(EmailChange.user_id == user_id)


def drop_unverified(email: str) -> Delete:
    """Delete an account that nobody has verified: its address belongs to whoever has confirmed it."""
    has_ordered = select(Order.id).where(Order.ordered_by_id == User.id).exists()
    return delete(User).where(User.email == email, ~User.is_verified, ~has_ordered)


def unverified_without_orders(user_id: UUID) -> Delete:
    """Select such an account without orders, where users and orders are on different servers."""
    return delete(User).where(User.id == user_id, ~User.is_verified)


def unverified(email: str) -> Select[UUID]:
    """Select the account of this address, if nobody has verified it."""
    return select(User.id).where(User.email == email, ~User.is_verified)


def has_ordered(user_id: UUID) -> Select[UUID]:
    """Give a row if the user has an order."""
    return select(Order.id).where(Order.ordered_by_id == user_id).limit(1)


def dead_letter_page(limit: int, *, after: Position | None) -> Select[Letter]:
    """Select letters that were given up on, the newest first, and one more."""
    query = (
        select(Letter)
        .where(Letter.gave_up_at.is_not(None))
        .order_by(Letter.gave_up_at.desc(), Letter.id.desc())
        .limit(limit + 1)
    )
    if after is None:
        return query
    return query.where(tuple_(Letter.gave_up_at, Letter.id) < (after.moment, after.key))


def try_letter_again(letter_id: UUID) -> Update:
    """Queue a letter again; gives no row if no such letter was given up on."""
    return (
        update(Letter)
        .where(Letter.id == letter_id, Letter.gave_up_at.is_not(None))
        .values(gave_up_at=None, attempts=0, next_attempt_at=NOW)
        .returning(Letter.id)
        .execution_options(synchronize_session=False)
    )


def user_page(*, is_verified: bool | None, after: Position | None, limit: int) -> Select[User]:
    """Select users by e-mail from a position on, and one more: whether there is a next page."""
    query = select(User).order_by(User.email, User.id).limit(limit + 1)
    if is_verified is not None:
        query = query.where(User.is_verified == is_verified)
    if after is not None:
        query = query.where(tuple_(User.email, User.id) > (after.value, after.key))
    return query
