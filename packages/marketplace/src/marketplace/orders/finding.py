"""Finds one order, by its id and its owner if known: with rows divided by user, the owner gives the server."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from marketplace.accounts.principal import Principal
from marketplace.database import placement_of
from marketplace.entities import Order, Role
from marketplace.orders import queries
from marketplace.orders.problems import OrderNotFound
from marketplace.placement import Placement


def owner_seen_by(principal: Principal) -> UUID | None:
    """Give the owner whose orders this user may see: the user, or anybody."""
    return None if principal.role is Role.ADMIN else principal.user_id


async def lock_order(session: AsyncSession, order_id: UUID, *, owner_id: UUID | None) -> Order:
    """Lock an order: nobody else changes it until the commit. Raises `OrderNotFound`.

    Without an owner it is anybody's: where orders are divided by user, all servers are asked whose, once, because rows
    are locked on one of them only.
    """
    if owner_id is None and placement_of(session) is Placement.BY_USER:
        owner_id = await session.scalar(queries.owner_of(order_id))
        if owner_id is None:
            raise OrderNotFound(order_id=order_id)
    order = await session.scalar(queries.locked_order(order_id, owner_id=owner_id))
    if order is None:
        raise OrderNotFound(order_id=order_id)
    return order
