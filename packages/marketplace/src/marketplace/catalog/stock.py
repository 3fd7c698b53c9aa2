"""All movements of stock: taken by an order, given back by one, adjusted with a reason.

The count is in a row of its own beside the variant, in no index, so a sale is a HOT update. The product's
roll-up is indexed (the low-stock page), so it is written only when it matters: by whatever adds stock, and by a
sale that leaves a variant at LOW_STOCK or below. That is enough to keep two promises: it is never less than the
sum of the variants, and it is that sum wherever the sum is LOW_STOCK or below.

Order of locks, for all: variants by id, then products by id. All runs in the caller's transaction, on
psycopg's own connection.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Self
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Json
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from marketplace.catalog.problems import StockOutOfRange, VariantNotFound
from marketplace.database import Connection, Transactions, driver_of, placement_of
from marketplace.entities import AdjustmentReason, VariantStock
from marketplace.placement import Placement

LOW_STOCK = 20
MOST_STOCK = 1_000_000_000  # far from the end of integer: no delta on top of it overflows

# A row: the line as it is sold. No row: archived, unknown, or not enough of it. What is compared with
# the stock is compared once more with the row as it is when it is locked. Of arrays the planner expects
# few lines, of JSON a hundred, for which it would read the whole table.
TAKE = """
    WITH wanted AS MATERIALIZED (
        SELECT variants.id, product_id, variants.name, sku, price, currency, quantity
        FROM (SELECT array_agg(key::uuid) AS ids, array_agg(value::int) AS quantities
              FROM json_each_text(%s)) AS cart,
             unnest(ids, quantities) AS line (id, quantity) JOIN variants ON variants.id = line.id
        WHERE archived_at IS NULL
        ORDER BY variants.id FOR NO KEY UPDATE OF variants)
    UPDATE variant_stock SET stock = variant_stock.stock - quantity
    FROM wanted JOIN products ON products.id = wanted.product_id
         JOIN vendors ON vendors.id = products.vendor_id
    WHERE variant_stock.variant_id = wanted.id AND variant_stock.stock >= quantity
    RETURNING variant_stock.variant_id, quantity, variant_stock.stock AS left_over,
              wanted.product_id, products.name AS product_name, wanted.name AS variant_name,
              wanted.sku, wanted.price AS unit_price, wanted.currency,
              vendors.id AS vendor_id, vendors.name AS vendor_name
"""
# The same of one variant, whose row it locks; where the catalogue is on every server and stock on one of them.
TAKE_PLACED = """
    UPDATE variant_stock SET stock = variant_stock.stock - %(quantity)s
    FROM variants JOIN products ON products.id = variants.product_id
         JOIN vendors ON vendors.id = products.vendor_id
    WHERE variant_stock.variant_id = %(variant_id)s AND variants.id = %(variant_id)s
      AND variant_stock.stock >= %(quantity)s AND variants.archived_at IS NULL
    RETURNING variant_stock.variant_id, %(quantity)s::int AS quantity, variant_stock.stock AS left_over,
              variants.product_id, products.name AS product_name, variants.name AS variant_name,
              variants.sku, variants.price AS unit_price, variants.currency,
              vendors.id AS vendor_id, vendors.name AS vendor_name
"""

# A row: what is left of a variant that is for sale.
AVAILABLE = """
    SELECT variant_id, variant_stock.stock FROM variant_stock JOIN variants ON variants.id = variant_id
    WHERE variant_id = ANY(%s) AND archived_at IS NULL
"""

# A row: the product of a variant that got something back. Archived ones count on, too.
GIVE_BACK = """
    WITH returned AS (
        SELECT variant_id, sum(quantity) AS quantity FROM order_lines
        WHERE order_id = ANY(%s) GROUP BY variant_id),
    locked AS (
        SELECT id, product_id FROM variants WHERE id IN (SELECT variant_id FROM returned)
        ORDER BY id FOR NO KEY UPDATE)
    UPDATE variant_stock SET stock = variant_stock.stock + returned.quantity
    FROM locked JOIN returned ON returned.variant_id = locked.id
    WHERE variant_stock.variant_id = locked.id
    RETURNING locked.product_id
"""
# The same in two, where orders and stock are on different servers: the first asks, the second is for each variant.
TO_GIVE_BACK = """
    SELECT variant_id, sum(quantity)::int FROM order_lines
    WHERE ordered_by_id = %s AND order_id = ANY(%s) AND variant_id IS NOT NULL GROUP BY variant_id
"""
GIVE_BACK_PLACED = "UPDATE variant_stock SET stock = stock + %s WHERE variant_id = %s"

# A row: stock and product after a delta that was possible.
ADJUST = """
    WITH locked AS (
        SELECT id, product_id FROM variants WHERE id = %(variant_id)s AND archived_at IS NULL
        FOR NO KEY UPDATE)
    UPDATE variant_stock SET stock = stock + %(delta)s FROM locked
    WHERE variant_id = locked.id AND stock + %(delta)s BETWEEN 0 AND %(most)s
    RETURNING stock, product_id
"""
ADJUST_PLACED = """
    UPDATE variant_stock SET stock = variant_stock.stock + %(delta)s FROM variants
    WHERE variant_id = %(variant_id)s AND variants.id = %(variant_id)s AND archived_at IS NULL
      AND variant_stock.stock + %(delta)s BETWEEN 0 AND %(most)s
    RETURNING variant_stock.stock, product_id
"""

RECORD = """
    INSERT INTO stock_adjustments (id, variant_id, delta, stock_after, reason, note, adjusted_by_id)
    VALUES (%s, %s, %s, %s, %s, %s, %s)
"""

LOCK_PRODUCTS = "SELECT FROM products WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"

# A statement of its own, after the lock: so it sees what the one who had the lock has committed.
ROLL_UP = """
    UPDATE products SET stock = (
        SELECT least(coalesce(sum(variant_stock.stock), 0), 2147483647)
        FROM variants JOIN variant_stock ON variant_id = variants.id
        WHERE product_id = products.id AND archived_at IS NULL)
    WHERE id = ANY(%s)
"""

# Where a sale cannot do it: a product is on every server, so each change of one waits for every other.
# A row: a product whose roll-up breaks one of the two promises, and what it should be.
ROLLED_UP = """
    SELECT product_id, least(sum(variant_stock.stock), 2147483647)::int
    FROM variant_stock JOIN variants ON variants.id = variant_stock.variant_id
         JOIN products ON products.id = variants.product_id
    WHERE variants.archived_at IS NULL
    GROUP BY product_id, products.stock
    HAVING sum(variant_stock.stock) > products.stock AND products.stock < 2147483647
        OR sum(variant_stock.stock) < products.stock AND sum(variant_stock.stock) <= %(low)s
"""
SET_ROLL_UP = "UPDATE products SET stock = %s WHERE id = %s"
NOTHING_LEFT = """
    UPDATE products SET stock = 0 WHERE stock > 0 AND archived_at IS NULL
      AND NOT EXISTS (SELECT FROM variants WHERE product_id = products.id AND variants.archived_at IS NULL)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """One line of an order, as the catalogue was when its stock was taken."""

    variant_id: UUID
    quantity: int
    left_over: int
    product_id: UUID
    product_name: str
    variant_name: str
    sku: str
    unit_price: int
    currency: str
    vendor_id: UUID
    vendor_name: str

    @classmethod
    def of(cls, row: Sequence[Any]) -> Self:
        """Read the line from a row of `TAKE`."""
        return cls(**dict(zip(cls.__slots__, row, strict=True)))


def wanted(quantities: Mapping[UUID, int]) -> Json:
    """Write the parameter of `TAKE`."""
    return Json({str(variant_id): quantity for variant_id, quantity in quantities.items()})


async def take(
    connection: Connection,
    quantities: Mapping[UUID, int],
    *,
    placement: Placement = Placement.ONE_SERVER,
) -> list[Taken]:
    """Take what is available of each variant, in the order of their ids, in one round trip.

    Where something is missing from the result the caller has to roll back.
    """
    if placement is Placement.BY_USER:
        return await _take_each(connection, quantities)
    async with connection.cursor(row_factory=class_row(Taken)) as cursor:
        await cursor.execute(TAKE, [wanted(quantities)])
        return sorted(await cursor.fetchall(), key=attrgetter("variant_id"))


async def _take_each(connection: Connection, quantities: Mapping[UUID, int]) -> list[Taken]:
    cursors = []
    async with connection.pipeline():
        for variant_id in sorted(quantities):
            cursor = connection.cursor(row_factory=class_row(Taken))
            values = {"variant_id": variant_id, "quantity": quantities[variant_id]}
            cursors.append(await cursor.execute(TAKE_PLACED, values))
    return [taken for cursor in cursors for taken in await cursor.fetchall()]


async def available(connection: Connection, variant_ids: Sequence[UUID]) -> dict[UUID, int]:
    """Say how much is available of those that are for sale."""
    cursor = await connection.execute(AVAILABLE, [list(variant_ids)])
    return dict(await cursor.fetchall())


async def roll_up_sales(connection: Connection, sold: Sequence[Taken]) -> None:
    """Update roll-ups after `take` on one server, only of products that run low."""
    await _roll_up(connection, {taken.product_id for taken in sold if taken.left_over <= LOW_STOCK})


async def give_back(session: AsyncSession, order_ids: Sequence[UUID], *, owner_id: UUID) -> None:
    """Put what these orders of one customer took on sale again."""
    connection = await driver_of(session)
    if placement_of(session) is Placement.BY_USER:
        await _give_back_each(connection, order_ids, owner_id=owner_id)
        return
    await give_back_all(connection, order_ids)


async def give_back_all(connection: Connection, order_ids: Sequence[UUID]) -> None:
    """Put what orders of any customers took on sale again, on one server."""
    cursor = await connection.execute(GIVE_BACK, [list(order_ids)])
    await _roll_up(connection, {product_id for (product_id,) in await cursor.fetchall()})


async def _give_back_each(
    connection: Connection, order_ids: Sequence[UUID], *, owner_id: UUID
) -> None:
    cursor = await connection.execute(TO_GIVE_BACK, [owner_id, list(order_ids)])
    returned = sorted(await cursor.fetchall())
    async with connection.pipeline():
        for variant_id, quantity in returned:
            await connection.execute(GIVE_BACK_PLACED, [quantity, variant_id])


async def adjust(
    session: AsyncSession,
    variant_id: UUID,
    *,
    delta: int,
    reason: AdjustmentReason,
    note: str,
    adjusted_by: UUID,
) -> int:
    """Move the stock and give what there is afterwards. Raises `VariantNotFound` or `StockOutOfRange`."""
    connection, placement = await driver_of(session), placement_of(session)
    values = {"variant_id": variant_id, "delta": delta, "most": MOST_STOCK}
    statement = ADJUST_PLACED if placement is Placement.BY_USER else ADJUST
    row = await (await connection.execute(statement, values)).fetchone()
    if row is None:
        there = await available(connection, [variant_id])
        if variant_id not in there:
            raise VariantNotFound(variant_id=variant_id)
        raise StockOutOfRange(available=there[variant_id])
    stock, product_id = row
    record = (uuid7(), variant_id, delta, stock, reason.value, note, adjusted_by)
    await connection.execute(RECORD, record)
    if placement is Placement.ONE_SERVER:
        await _roll_up(connection, {product_id})
    return int(stock)


async def begin_with_none(session: AsyncSession, variant_id: UUID) -> None:
    """Insert the stock row of a new variant; the previous release made it by a trigger."""
    row = upsert(VariantStock).values(variant_id=variant_id, stock=0)
    await session.execute(row.on_conflict_do_nothing())


async def roll_up(session: AsyncSession, product_id: UUID) -> None:
    """Update the product's roll-up after a variant came or went."""
    if placement_of(session) is Placement.ONE_SERVER:
        await _roll_up(await driver_of(session), {product_id})


async def _roll_up(connection: Connection, products: set[UUID]) -> None:
    if products:
        async with connection.pipeline():
            await connection.execute(LOCK_PRODUCTS, [list(products)])
            await connection.execute(ROLL_UP, [list(products)])


async def roll_up_everything(transactions: Transactions) -> int:
    """Update the products whose roll-up matters, and say how many: a job, where a sale cannot do it."""
    async with transactions.statements("roll up") as connection:
        due = await (await connection.execute(ROLLED_UP, {"low": LOW_STOCK})).fetchall()
        for product_id, stock in sorted(due):
            await connection.execute(SET_ROLL_UP, [stock, product_id])
        emptied = await connection.execute(NOTHING_LEFT)
        return len(due) + emptied.rowcount
