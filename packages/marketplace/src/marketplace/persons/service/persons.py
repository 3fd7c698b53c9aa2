"""Exports all of a person's data in one answer, and deletes it.

The law keeps what was sold and paid, for years; it does not keep who reads this sentence. So the row of the user stays,
for its orders to refer to, and says nothing any more.
"""

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from marketplace.accounts import queries as accounts_queries
from marketplace.accounts.context import Accounts
from marketplace.accounts.principal import Principal
from marketplace.accounts.problems import InvalidAccessToken
from marketplace.accounts.schemas import Account, AuditRecord, SessionList
from marketplace.accounts.service.administration import require_another_administrator
from marketplace.accounts.sessions import record
from marketplace.catalog import stock
from marketplace.entities import AuditedAction, LetterKind, OrderStatus, Role, User
from marketplace.orders import transitions
from marketplace.persons import queries
from marketplace.persons.problems import OrdersUnderWay
from marketplace.persons.schemas import Export, ExportedOrder

# The same lock as in check-out: an order being placed is seen, a later one is refused.
LOCK_CUSTOMER = (
    "SELECT pg_advisory_xact_lock(hashtextextended('orders of ' || CAST(:user_id AS uuid), 0))"
)


async def export(transaction: AsyncSession, principal: Principal) -> Export:
    """Give everything that is kept of the user; the export itself is recorded."""
    user = await transaction.get(User, principal.user_id)
    if user is None:
        raise InvalidAccessToken
    await record(transaction, AuditedAction.USER_EXPORTED, user_id=user.id)
    sessions = await transaction.scalars(queries.sessions_of(user.id))
    orders = await transaction.scalars(queries.orders_of(user.id))
    events = await transaction.scalars(queries.events_of(user.id))
    now = (await transaction.scalars(select(func.now()))).one()
    return Export(
        exported_at=now,
        account=Account.model_validate(user),
        sessions=SessionList.of(sessions, current=principal).items,
        orders=[ExportedOrder.model_validate(order) for order in orders],
        events=[AuditRecord.model_validate(event) for event in events],
    )


async def delete(transaction: AsyncSession, principal: Principal, *, accounts: Accounts) -> None:
    """End an account and delete everything that identifies its owner. Unpaid orders are cancelled.

    Raises `OrdersUnderWay`, `LastAdministrator`.
    """
    await require_another_administrator(transaction, principal.user_id)
    user = await transaction.get(User, principal.user_id, with_for_update={"key_share": True})
    if user is None or user.deleted_at is not None:
        raise InvalidAccessToken
    await transaction.execute(text(LOCK_CUSTOMER), {"user_id": user.id})
    await _end_orders(transaction, user)
    old_email = user.email
    for owned in queries.OWNED:
        await transaction.execute(queries.rows_of(owned, user.id))
    await transaction.execute(queries.addresses_of(user.id))
    await transaction.execute(
        accounts_queries.change_user(
            user.id,
            email=f"deleted-{user.id.hex}@deleted.invalid",
            phone_number=None,
            password_hash=None,
            is_verified=False,
            has_second_factor=False,
            role=Role.CUSTOMER,
            vendor_id=None,
            disabled_at=user.disabled_at or func.now(),  # of a row that is locked
            deleted_at=func.now(),
        )
    )
    await record(transaction, AuditedAction.USER_DELETED, user_id=user.id)
    await accounts.outbox.put(transaction, LetterKind.ACCOUNT_DELETED, to=old_email, user_id=None)


async def _end_orders(transaction: AsyncSession, user: User) -> None:
    under_way = queries.orders_in(queries.UNDER_WAY, user_id=user.id)
    if list(await transaction.scalars(under_way)):
        raise OrdersUnderWay
    unpaid = queries.orders_in((OrderStatus.PENDING,), user_id=user.id)
    order_ids = list(await transaction.scalars(unpaid))
    for order_id in order_ids:
        await transitions.move(
            transaction,
            order_id,
            owner_id=user.id,
            to=OrderStatus.CANCELLED,
            reason="account deleted",
        )
    if order_ids:
        await stock.give_back(transaction, order_ids, owner_id=user.id)
