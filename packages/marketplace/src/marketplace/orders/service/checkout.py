"""Places an order in one transaction, with its Idempotency-Key, and in few round trips.

Claim the key; count what the customer has not paid and take the stock, in the order of the variants' ids; write
order, lines, event and answer; commit: one statement each. CHECK (stock >= 0) stands behind all of it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any
from uuid import UUID

from psycopg.types.json import Json
from uuid_utils.compat import uuid7

from marketplace.accounts.problems import InvalidAccessToken
from marketplace.catalog import stock
from marketplace.database import Connection
from marketplace.orders.idempotency import KEPT, KeyedRequest, Replay, claim, claim_in_turn
from marketplace.orders.problems import (
    NotForSale,
    OutOfStock,
    RequestInFlight,
    SeveralCurrencies,
    ShortLine,
    TooManyOpenOrders,
    TooManyUnits,
)
from marketplace.orders.schemas import Cart, PlacedOrder
from marketplace.placement import Placement
from marketplace.problems import Problem
from marketplace.settings import OrderSettings

SHIPPING = 490
CREATED = 201

# The lines are those of the answer.
PLACE = """
    WITH placed AS (
        INSERT INTO orders (id, ordered_by_id, currency, subtotal, shipping, total, created_at)
        VALUES (%(id)s, %(user_id)s, %(currency)s, %(subtotal)s, %(shipping)s, %(total)s, %(now)s)),
    lines AS (
        INSERT INTO order_lines (order_id, ordered_by_id, line_number, variant_id, vendor_id, vendor_name,
                                 product_name, variant_name, sku, unit_price, quantity, total)
        SELECT %(id)s, %(user_id)s, line_number, variant_id, vendor_id, vendor_name, product_name, variant_name,
               sku, unit_price, quantity, unit_price * quantity
        FROM json_to_recordset(%(response)s::json -> 'lines')
             AS line (line_number int, variant_id uuid, vendor_id uuid, vendor_name text,
                      product_name text, variant_name text, sku text, unit_price bigint,
                      quantity int)),
    events AS (
        INSERT INTO order_events (id, order_id, ordered_by_id, machine, to_state, reason, actor_id)
        VALUES (%(event_id)s, %(id)s, %(user_id)s, 'status', 'pending', 'checkout', %(user_id)s))
    INSERT INTO idempotency_keys AS known
        (user_id, key, method, path, fingerprint, status, response, created_at, expires_at)
    VALUES (%(user_id)s, %(key)s, %(method)s, %(path)s, %(fingerprint)s, 201, %(response)s,
            %(now)s, %(expires_at)s)
    -- One that has expired is replaced. None is written behind one that was committed just before
    -- the key was claimed (`idempotency.CLAIM`).
    ON CONFLICT (user_id, key) DO UPDATE
    SET (method, path, fingerprint, status, response, created_at, expires_at) =
        (excluded.method, excluded.path, excluded.fingerprint, excluded.status, excluded.response,
         excluded.created_at, excluded.expires_at)
    WHERE known.expires_at <= excluded.created_at
"""


ADD_ADDRESS = """
    INSERT INTO delivery_addresses
        (order_id, ordered_by_id, recipient, street, addition, postal_code, city, country)
    VALUES (%(order_id)s, %(user_id)s, %(recipient)s, %(street)s, %(addition)s, %(postal_code)s, %(city)s,
            %(country)s)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the client is told, now or again."""

    status: int
    text: str  # JSON
    is_replay: bool

    @property
    def body(self) -> dict[str, Any]:
        """The parsed body of the answer's text."""
        said: dict[str, Any] = json.loads(self.text)
        return said


# One customer's orders are placed one after the other: of two at once the second sees the first. On one server
# `idempotency.CLAIM_IN_TURN` takes this lock.
LOCK_CUSTOMER = "SELECT pg_advisory_xact_lock(hashtextextended('orders of ' || %s::uuid, 0))"

# A row: orders that wait for their payment, with them those of a day that nobody paid, and whether the account was
# deleted a moment ago.
UNPAID = """
    SELECT count(*) FILTER (WHERE status = 'pending'), count(*),
           EXISTS (SELECT FROM users WHERE id = %s AND deleted_at IS NOT NULL)
    FROM orders
    WHERE ordered_by_id = %s AND status IN ('pending', 'cancelled') AND paid = 0
      AND (status = 'pending' OR created_at > now() - interval '1 day')
"""

# On one server both are one statement. A row: what is unpaid, as above, and a line that was taken; where none was,
# there is a row without a line.
TAKE_OF_CUSTOMER = f"""
    WITH unpaid AS MATERIALIZED ({UNPAID}), taken AS ({stock.TAKE})
    SELECT unpaid.*, taken.* FROM unpaid LEFT JOIN taken ON true
"""  # noqa: S608  # both are constants


async def check_out(
    connection: Connection,
    cart: Cart,
    *,
    request: KeyedRequest,
    limits: OrderSettings | None,
    placement: Placement = Placement.ONE_SERVER,
) -> Answer:
    """Place the order, or give the first request's answer. Raises a problem, having done nothing.

    `limits` keeps one customer from taking all of the stock without paying; None for a demonstration.
    """
    is_in_turn = limits is not None and placement is Placement.ONE_SERVER
    claimed = await (claim_in_turn if is_in_turn else claim)(connection, request)
    if isinstance(claimed, Replay):
        return _again(claimed)
    try:
        lines = await _take(
            connection, cart, user_id=request.user_id, limits=limits, placement=placement
        )
        return await _place(
            connection, lines, cart=cart, request=request, now=claimed, placement=placement
        )
    except Problem:
        # What was in the way may be this very order, committed just before the key was claimed. This look is
        # younger than the lock, so it sees it.
        claimed = await claim(connection, request)
        if not isinstance(claimed, Replay):
            raise
        await connection.rollback()
        return _again(claimed)


async def _take(
    connection: Connection,
    cart: Cart,
    *,
    user_id: UUID,
    limits: OrderSettings | None,
    placement: Placement,
) -> list[stock.Taken]:
    """Take the cart's units for a customer who may order; rolled back if it turns out that they may not."""
    quantities = cart.quantities()
    if limits is None:
        return await stock.take(connection, quantities, placement=placement)
    if sum(quantities.values()) > limits.most_units:
        raise TooManyUnits(most=limits.most_units)
    if placement is Placement.ONE_SERVER:
        return await _take_of_customer(connection, quantities, user_id=user_id, limits=limits)
    async with connection.pipeline():  # in one go
        await connection.execute(LOCK_CUSTOMER, [user_id])
        cursor = await connection.execute(UNPAID, [user_id, user_id])
        lines = await stock.take(connection, quantities, placement=placement)
    _require_modesty(await cursor.fetchone(), limits=limits)
    return lines


async def _take_of_customer(
    connection: Connection, quantities: dict[UUID, int], *, user_id: UUID, limits: OrderSettings
) -> list[stock.Taken]:
    values = [user_id, user_id, stock.wanted(quantities)]
    rows = await (await connection.execute(TAKE_OF_CUSTOMER, values)).fetchall()
    pending, unpaid, is_deleted, *_ = rows[0]
    _require_modesty((pending, unpaid, is_deleted), limits=limits)
    lines = [stock.Taken.of(line) for _, _, _, *line in rows if line[0] is not None]
    return sorted(lines, key=attrgetter("variant_id"))


def _require_modesty(row: tuple[int, int, bool] | None, *, limits: OrderSettings) -> None:
    assert row is not None  # noqa: S101  # an aggregate
    pending, unpaid, is_deleted = row
    if is_deleted:
        raise InvalidAccessToken
    if pending >= limits.most_open or unpaid >= limits.most_unpaid_per_day:
        raise TooManyOpenOrders


async def _place(
    connection: Connection,
    lines: Sequence[stock.Taken],
    *,
    cart: Cart,
    request: KeyedRequest,
    now: datetime,
    placement: Placement,
) -> Answer:
    await _require_all(connection, lines, quantities=cart.quantities())
    order = PlacedOrder.of(lines, id=uuid7(), shipping=SHIPPING, created_at=now)
    text = (
        order.model_dump_json()
    )  # written once: for the client, for a repetition, and for the lines
    if placement is Placement.ONE_SERVER:
        await stock.roll_up_sales(connection, lines)
    values = _values(order, request=request, now=now, response=text)
    placed = await connection.execute(PLACE, values)
    if placed.rowcount == 0:
        raise RequestInFlight
    if cart.delivery_address is not None:
        address = {
            "order_id": order.id,
            "user_id": request.user_id,
            **cart.delivery_address.model_dump(),
        }
        await connection.execute(ADD_ADDRESS, address)
    return Answer(status=CREATED, text=text, is_replay=False)


def _again(replay: Replay) -> Answer:
    text = json.dumps(replay.response, ensure_ascii=False, separators=(",", ":"))
    return Answer(status=replay.status, text=text, is_replay=True)


async def _require_all(
    connection: Connection, lines: Sequence[stock.Taken], *, quantities: dict[UUID, int]
) -> None:
    missing = quantities.keys() - {line.variant_id for line in lines}
    if missing:
        there = await stock.available(connection, sorted(missing))
        if unknown := sorted(missing - there.keys()):
            raise NotForSale(variant_ids=unknown)
        raise OutOfStock(
            lines=[
                ShortLine(
                    variant_id=variant_id,
                    requested=quantities[variant_id],
                    available=there[variant_id],
                )
                for variant_id in sorted(missing)
            ]
        )
    currencies = sorted({line.currency for line in lines})
    if len(currencies) > 1:
        raise SeveralCurrencies(currencies=" and ".join(currencies))


def _values(
    order: PlacedOrder,
    *,
    request: KeyedRequest,
    now: datetime,
    response: str,
) -> dict[str, Any]:
    return {
        "id": order.id,
        "user_id": request.user_id,
        "currency": order.currency,
        "subtotal": order.subtotal,
        "shipping": order.shipping,
        "total": order.total,
        "now": now,
        "event_id": uuid7(),
        "key": request.key,
        "method": request.method,
        "path": request.path,
        "fingerprint": request.fingerprint,
        "response": Json(response, dumps=str),
        "expires_at": now + KEPT,
    }
