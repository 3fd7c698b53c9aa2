"""Stock moves here and nowhere else: taken by an order, given back by one, adjusted with a reason.

The count is on the variant, in no index, so a sale is a HOT update. The product's roll-up is indexed
(the low-stock page), so it is written only when it matters: by whatever adds stock, and by a sale that
leaves a variant at LOW_STOCK or below. That is enough to keep two promises: it is never less than the
sum of the variants, and it is that sum wherever the sum is LOW_STOCK or below.

Order of locks, for all: variants by id, then products by id. All runs in the caller's transaction, on
psycopg's own connection.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Json
from uuid_utils.compat import uuid7

from marketplace.catalog.problems import StockOutOfRange, VariantNotFound
from marketplace.database import Connection
from marketplace.entities import AdjustmentReason

LOW_STOCK = 20
MOST_STOCK = 1_000_000_000  # far from the end of integer: no delta on top of it overflows

# A row: the line as it is sold. No row: archived, unknown, or not enough of it. What is compared with
# the stock is compared once more with the row as it is when it is locked.
TAKE = """
    WITH wanted AS MATERIALIZED (
        SELECT variants.id, line.value::int AS quantity
        FROM json_each_text(%s) AS line JOIN variants ON variants.id = line.key::uuid
        ORDER BY variants.id FOR NO KEY UPDATE OF variants)
    UPDATE variants SET stock = variants.stock - quantity
    FROM wanted, products JOIN vendors ON vendors.id = products.vendor_id
    WHERE variants.id = wanted.id AND products.id = variants.product_id
      AND variants.stock >= quantity AND variants.archived_at IS NULL
    RETURNING variants.id AS variant_id, quantity, variants.stock AS left_over,
              variants.product_id, products.name AS product_name, variants.name AS variant_name,
              variants.sku, variants.price AS unit_price, variants.currency,
              vendors.id AS vendor_id, vendors.name AS vendor_name
"""

# A row: what is left of a variant that is for sale.
AVAILABLE = "SELECT id, stock FROM variants WHERE id = ANY(%s) AND archived_at IS NULL"

# A row: the product of a variant that got something back. Archived ones count on, too.
GIVE_BACK = """
    WITH returned AS (
        SELECT variant_id, sum(quantity) AS quantity FROM order_lines
        WHERE order_id = ANY(%s) GROUP BY variant_id),
    locked AS (
        SELECT id FROM variants WHERE id IN (SELECT variant_id FROM returned)
        ORDER BY id FOR NO KEY UPDATE)
    UPDATE variants SET stock = variants.stock + returned.quantity
    FROM locked JOIN returned ON returned.variant_id = locked.id
    WHERE variants.id = locked.id
    RETURNING variants.product_id
"""

# A row: stock and product after a delta that was possible.
ADJUST = """
    UPDATE variants SET stock = stock + %(delta)s
    WHERE id = %(variant_id)s AND archived_at IS NULL
      AND stock + %(delta)s BETWEEN 0 AND %(most)s
    RETURNING stock, product_id
"""

RECORD = """
    INSERT INTO stock_adjustments (id, variant_id, delta, stock_after, reason, note, adjusted_by_id)
    VALUES (%s, %s, %s, %s, %s, %s, %s)
"""

LOCK_PRODUCTS = "SELECT FROM products WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"

# A statement of its own, after the lock: so it sees what the one who had the lock has committed.
ROLL_UP = """
    UPDATE products SET stock = (
        SELECT least(coalesce(sum(stock), 0), 2147483647) FROM variants
        WHERE product_id = products.id AND archived_at IS NULL)
    WHERE id = ANY(%s)
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


async def take(connection: Connection, quantities: Mapping[UUID, int]) -> list[Taken]:
    """Takes what can be had of each variant, in the order of their ids: one statement.

    Where something is missing from the result the caller has to roll back.
    """
    wanted = Json({str(variant_id): quantity for variant_id, quantity in quantities.items()})
    async with connection.cursor(row_factory=class_row(Taken)) as cursor:
        await cursor.execute(TAKE, [wanted])
        return sorted(await cursor.fetchall(), key=attrgetter("variant_id"))


async def available(connection: Connection, variant_ids: Sequence[UUID]) -> dict[UUID, int]:
    """What there is of those that are for sale."""
    cursor = await connection.execute(AVAILABLE, [list(variant_ids)])
    return dict(await cursor.fetchall())


async def roll_up_sales(connection: Connection, sold: Sequence[Taken]) -> None:
    """After `take`: only of products that run low."""
    await _roll_up(connection, {taken.product_id for taken in sold if taken.left_over <= LOW_STOCK})


async def give_back(connection: Connection, order_ids: Sequence[UUID]) -> None:
    """What these orders took is for sale again."""
    cursor = await connection.execute(GIVE_BACK, [list(order_ids)])
    await _roll_up(connection, {product_id for (product_id,) in await cursor.fetchall()})


async def adjust(
    connection: Connection,
    variant_id: UUID,
    *,
    delta: int,
    reason: AdjustmentReason,
    note: str,
    adjusted_by: UUID,
) -> int:
    """The stock afterwards. Raises `VariantNotFound` or `StockOutOfRange`."""
    values = {"variant_id": variant_id, "delta": delta, "most": MOST_STOCK}
    row = await (await connection.execute(ADJUST, values)).fetchone()
    if row is None:
        there = await available(connection, [variant_id])
        if variant_id not in there:
            raise VariantNotFound(variant_id=variant_id)
        raise StockOutOfRange(available=there[variant_id])
    stock: int = row[0]
    record = (uuid7(), variant_id, delta, stock, reason.value, note, adjusted_by)
    await connection.execute(RECORD, record)
    await _roll_up(connection, {row[1]})
    return stock


async def roll_up(connection: Connection, product_id: UUID) -> None:
    """After a variant came or went."""
    await _roll_up(connection, {product_id})


async def _roll_up(connection: Connection, products: set[UUID]) -> None:
    if products:
        async with connection.pipeline():
            await connection.execute(LOCK_PRODUCTS, [list(products)])
            await connection.execute(ROLL_UP, [list(products)])
