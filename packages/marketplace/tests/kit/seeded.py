"""A shop with many rows in every table that an index is about, and what the planner does there.

Used by the tests with some thousand products, and by `./dev prove indexes` with 200,000.
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy import Connection, Engine, Executable, NullPool, create_engine, select, text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.elements import ClauseElement, TextClause

from marketplace import cleanup, outbox, schema
from marketplace.accounts import queries as accounts
from marketplace.catalog import queries as catalog
from marketplace.catalog.schemas import LowStockFilters, ProductFilters
from marketplace.cursors import PageRequest, Position
from marketplace.entities import (
    AuditEvent,
    OrderEvent,
    OrderLine,
    OrderStatus,
    PaymentEvent,
    Refund,
    StockAdjustment,
    User,
    Variant,
)
from marketplace.orders import queries as orders
from marketplace.orders.schemas import AllOrdersFilters, OrderFilters
from marketplace.orders.service import expiry
from marketplace.settings import sqlalchemy_url

# Of what is asked for below.
USER, VENDOR, PRODUCT, SUBCATEGORY, VARIANT = (
    UUID(int=0xA0000000000000000000000000000000 + kind * 0x01000000000000000000000000000000 + 7)
    for kind in range(5)
)

# For the peers of a measurement, who count in the variant, and do not write an owner beside each line.
FOR_PEERS = """
ALTER TABLE variants ADD COLUMN stock integer NOT NULL DEFAULT 0 CHECK (stock >= 0);
UPDATE variants SET stock = 100000000;
ALTER TABLE order_lines ALTER ordered_by_id DROP NOT NULL;
ALTER TABLE order_events ALTER ordered_by_id DROP NOT NULL;
"""
# Keys are made of a number, so that rows refer to each other without a look-up; those of orders are
# in the order of time, as UUIDv7 are. Triggers of foreign keys are off: what is written fits.
SEED = """
CREATE FUNCTION pg_temp.owner(number bigint, users bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS
    $$ SELECT ('a0' || lpad(to_hex(1 + number * 7 % users), 30, '0'))::uuid $$;
CREATE FUNCTION pg_temp.key(kind integer, number bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS
    $$ SELECT (to_hex(160 + kind) || lpad(to_hex(number), 30, '0'))::uuid $$;
SET LOCAL session_replication_role = replica;
INSERT INTO vendors (id, name)
    SELECT pg_temp.key(1, n), 'vendor ' || n FROM generate_series(1, :products / 200 + 10) n;
INSERT INTO categories (id, name) SELECT pg_temp.key(5, n), 'category ' || n FROM generate_series(1, 10) n;
INSERT INTO subcategories (id, category_id, name)
    SELECT pg_temp.key(3, n), pg_temp.key(5, 1 + n % 10), 'subcategory ' || n
    FROM generate_series(1, 100) n;
INSERT INTO users (id, email, phone_number, password_hash, is_verified, role)
    SELECT pg_temp.key(0, n), md5(n::text) || '@example.com', '+49' || (1000000000 + n), repeat('h', 97),
           n % 100 <> 0, 'customer'
    FROM generate_series(1, :products) n;
INSERT INTO products (id, vendor_id, subcategory_id, name, description, stock, price, currency)
    SELECT pg_temp.key(2, n), pg_temp.key(1, 1 + n % (:products / 200 + 10)), pg_temp.key(3, 1 + n % 97),
           md5(n::text), repeat('d', 200), CASE WHEN n % 200 = 0 THEN n % 23 ELSE 30 + n % 1000 END, 100, 'EUR'
    FROM generate_series(1, :products) n;
INSERT INTO variants (id, product_id, sku, name, price, currency)
    SELECT pg_temp.key(4, n), pg_temp.key(2, (n + 1) / 2), 'SKU-' || n, 'one', 100, 'EUR'
    FROM generate_series(1, :products * 2) n;
INSERT INTO variant_stock (variant_id, stock)
    SELECT pg_temp.key(4, n), 50 FROM generate_series(1, :products * 2) n;
INSERT INTO orders (id, ordered_by_id, status, payment_status, currency, subtotal, shipping, total, created_at)
    SELECT pg_temp.key(7, n), pg_temp.key(0, 1 + n * 7 % (:products / 10)),
           CASE WHEN n > :products * 1.99 THEN 'pending' WHEN n % 9 = 0 THEN 'cancelled' ELSE 'delivered' END,
           CASE WHEN n > :products * 1.99 THEN 'pending' WHEN n % 9 = 0 THEN 'failed' ELSE 'paid' END,
           'EUR', 300, 0, 300, now() - (:products * 2 - n) * interval '20 s'
    FROM generate_series(1, :products * 2) n;
INSERT INTO order_lines (order_id, ordered_by_id, line_number, variant_id, vendor_id, vendor_name, product_name,
                         variant_name, sku, unit_price, quantity, total)
    SELECT pg_temp.key(7, n), pg_temp.owner(n, :products / 10), line,
           pg_temp.key(4, 1 + (n * 31 + line * 7) % (:products * 2)),
           pg_temp.key(1, 1 + (n + line) % (:products / 200 + 10)), 'a vendor', 'a product', 'one', 'SKU', 100, 1, 100
    FROM generate_series(1, :products * 2) n, generate_series(1, 2) line;
INSERT INTO order_events (id, order_id, ordered_by_id, machine, to_state, reason)
    SELECT pg_temp.key(8, n), pg_temp.key(7, n), pg_temp.owner(n, :products / 10), 'status', 'pending', 'checkout'
    FROM generate_series(1, :products * 2) n;
UPDATE orders SET paid = total WHERE payment_status = 'paid';
UPDATE orders SET paid = 2 * total WHERE id IN (SELECT pg_temp.key(7, n) FROM generate_series(1, 50) n);
INSERT INTO payment_events (id, order_id, kind, amount, currency, is_applied)
    SELECT 'evt_' || n, pg_temp.key(7, n), 'succeeded', 300, 'EUR', true FROM generate_series(1, :products) n;
INSERT INTO refunds (id, order_id, payment_event_id, amount, currency)
    SELECT pg_temp.key(12, n), pg_temp.key(7, n), 'evt_' || n, 100, 'EUR' FROM generate_series(1, :products / 2) n;
INSERT INTO sessions (id, user_id, refresh_token_hash, expires_at, absolute_expires_at, is_revoked,
                      revoked_at, revoked_reason)
    SELECT pg_temp.key(9, n), pg_temp.key(0, 1 + n % (:products / 5)), sha256(n::text::bytea), ends, ends,
           n % 3 = 0, CASE n % 3 WHEN 0 THEN ends END, CASE n % 3 WHEN 0 THEN 'logout' END
    FROM (SELECT n, now() + (n - :products * 0.02) * interval '30 days' / :products AS ends
          FROM generate_series(1, :products) n) AS known;
INSERT INTO audit_events (occurred_at, action, user_id)
    SELECT now() - (:products * 8 - n) * interval '500 days' / (:products * 8), 'session.created',
           pg_temp.key(0, n / 8)
    FROM generate_series(1, :products * 8) n;
INSERT INTO idempotency_keys (user_id, key, method, path, fingerprint, status, response, expires_at)
    SELECT pg_temp.key(0, n), 'key', 'POST', '/checkout', sha256(n::text::bytea), 201, '{}',
           now() + (n - :products * 0.02) * interval '1 day' / :products
    FROM generate_series(1, :products) n;
INSERT INTO stock_adjustments (id, variant_id, delta, stock_after, reason, note)
    SELECT pg_temp.key(11, n), pg_temp.key(4, 1 + n % (:products / 10)), 1, 1, 'received', ''
    FROM generate_series(1, :products) n;
INSERT INTO letters (id, user_id, kind, recipient, sealed, next_attempt_at, gave_up_at)
    SELECT pg_temp.key(13, n), pg_temp.key(0, n), 'new_device', n || '@example.com', '', now() + n * interval '1 s',
           CASE WHEN n % 2 = 0 THEN now() - n * interval '1 s' END
    FROM generate_series(1, :products / 4) n;
INSERT INTO email_changes (user_id, new_email, token_hash, expires_at)
    SELECT pg_temp.key(0, n), n || '@example.com', sha256(n::text::bytea),
           now() + (n - :products * 0.02) * interval '1 day' / :products
    FROM generate_series(1, :products) n;
INSERT INTO refund_requests (id, order_id, amount, currency, reason, settled_at, refund_id)
    SELECT pg_temp.key(14, n), pg_temp.key(7, n), 100, 'EUR', 'broken', CASE WHEN n % 9 <> 0 THEN now() END,
           CASE WHEN n % 9 <> 0 THEN pg_temp.key(12, n) END
    FROM generate_series(1, :products / 2) n;
RESET session_replication_role;
"""
# Their plans name the index that finds the row in the way.
ADD_USER = """
    INSERT INTO users (id, email, password_hash) VALUES (gen_random_uuid(), 'a@example.com', '-')
    ON CONFLICT (email) DO NOTHING
"""
ADD_VARIANT = """
    INSERT INTO variants (id, product_id, sku, name, price, currency)
    VALUES (gen_random_uuid(), gen_random_uuid(), 'SKU-7', 'one', 1, 'EUR')
    ON CONFLICT (sku) WHERE archived_at IS NULL DO NOTHING
"""
ADD_VENDOR = """
    INSERT INTO vendors (id, name) VALUES (gen_random_uuid(), 'vendor 7')
    ON CONFLICT (name) WHERE archived_at IS NULL DO NOTHING
"""
TABLES = (
    "vendors, users, products, variants, orders, order_lines, order_events, sessions, audit_events, "
    "idempotency_keys, stock_adjustments, payment_events, refunds, letters, email_changes, refund_requests"
)


def engine_on(url: str) -> Engine:
    return create_engine(sqlalchemy_url(SecretStr(url)), poolclass=NullPool)


def build(url: str, *, products: int) -> None:
    """So many products, users and sessions, twice as many variants and orders, in an empty database."""
    engine = engine_on(url)
    with engine.connect() as connection:
        schema.upgrade(connection)
    with engine.begin() as connection:
        for statement in SEED.replace(":products", str(products)).split(";\n"):
            if statement.strip():
                connection.execute(text(statement))
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql(f"VACUUM (ANALYZE) {TABLES}")


class Explain(Executable, ClauseElement):
    """EXPLAIN of a statement, with its parameters as they are."""

    inherit_cache = False

    def __init__(self, statement: Any) -> None:
        self.statement = statement


@compiles(Explain)
def _explain(element: Explain, compiler: Any, **options: Any) -> str:
    return f"EXPLAIN (FORMAT JSON) {compiler.process(element.statement, **options)}"


def indexes_used(connection: Connection, statement: Any) -> set[str]:
    """The names of the indexes in the plan."""
    [plan] = connection.scalar(Explain(statement)) or [{}]
    return set(_indexes(plan["Plan"]))


def _indexes(node: dict[str, Any]) -> list[str]:
    own = [node["Index Name"]] if "Index Name" in node else []
    own += node.get("Conflict Arbiter Indexes", [])
    return own + [name for child in node.get("Plans", ()) for name in _indexes(child)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Earned:
    """An index, and a query of the product that is answered by it."""

    index: str
    by: str
    statement: Any


def on_driver(statement: str, values: dict[str, Any]) -> TextClause:
    """A statement for psycopg's own connection, as SQLAlchemy takes it."""
    return text(re.sub(r"%\((\w+)\)s", r":\1", statement)).bindparams(**values)


def earned() -> tuple[Earned, ...]:
    """Every index that is there for a query, with that query."""
    middle = Position(value="8", key=PRODUCT)
    email = f"{'8' * 32}@example.com"
    return (
        Earned(
            index="ix_users_email",
            by="nobody registers an address twice",
            statement=text(ADD_USER),
        ),
        Earned(
            index="ix_users_phone_number",
            by="the user with a phone number",
            statement=select(User).where(User.phone_number == "+491000000007"),
        ),
        Earned(
            index="ix_users_email_is_verified",
            by="administrators page through unverified users",
            statement=accounts.user_page(
                is_verified=False, after=Position(value=email, key=USER), limit=20
            ),
        ),
        Earned(
            index="ix_products_name",
            by="a page of products, from the middle on",
            statement=on_driver(*catalog.product_page(ProductFilters(), after=middle)),
        ),
        Earned(
            index="ix_products_name",
            by="products whose name begins with",
            statement=on_driver(*catalog.product_page(ProductFilters(q="8f"), after=None)),
        ),
        Earned(
            index="ix_products_stock",
            by="what runs low",
            statement=catalog.low_stock_page(LowStockFilters(), after=None),
        ),
        Earned(
            index="ix_products_vendor_id_subcategory_id",
            by="a shelf of a vendor",
            statement=on_driver(
                *catalog.product_page(
                    ProductFilters(vendor=VENDOR, subcategory=SUBCATEGORY), after=None
                )
            ),
        ),
        Earned(
            index="ix_variants_product_id",
            by="a product with its variants",
            statement=select(Variant).where(Variant.product_id == PRODUCT),
        ),
        Earned(
            index="ix_variants_sku",
            by="no sku is used twice",
            statement=text(ADD_VARIANT),
        ),
        Earned(
            index="ix_orders_ordered_by_id_status",
            by="my orders",
            statement=orders.my_orders(USER, OrderFilters(), after=None),
        ),
        Earned(
            index="ix_orders_ordered_by_id_status",
            by="my orders in one status",
            statement=orders.my_orders(
                USER, OrderFilters(status=OrderStatus.DELIVERED), after=None
            ),
        ),
        Earned(
            index="ix_orders_payment_status",
            by="reconciliation: payments that are pending for too long",
            statement=orders.pending_payments(PageRequest(), after=None),
        ),
        Earned(
            index="ix_orders_created_at",
            by="all orders, the newest first",
            statement=orders.all_orders(AllOrdersFilters(), after=None),
        ),
        Earned(
            index="ix_orders_created_at_pending",
            by="orders to expire",
            statement=expiry.overdue(older_than=timedelta(minutes=15), batch=50),
        ),
        Earned(
            index="ix_orders_created_at_unsettled",
            by="orders whose money does not fit",
            statement=orders.unsettled(PageRequest(), after=None),
        ),
        Earned(
            index="ix_payment_events_order_id",
            by="what the provider told of an order",
            statement=select(PaymentEvent).where(PaymentEvent.order_id == USER),
        ),
        Earned(
            index="ix_refunds_order_id",
            by="the refunds of an order",
            statement=select(Refund).where(Refund.order_id == USER),
        ),
        Earned(
            index="ix_refund_requests_order_id",
            by="what shall go back of an order",
            statement=orders.requested_of(USER),
        ),
        Earned(
            index="ix_refund_requests_id_open",
            by="what shall go back and has not yet",
            statement=orders.open_refund_requests(PageRequest(), after=None),
        ),
        Earned(
            index="ix_letters_next_attempt_at",
            by="letters that are due",
            statement=on_driver(outbox.TAKE, {"taken": outbox.TAKEN, "most": outbox.AT_ONCE}),
        ),
        Earned(
            index="ix_letters_gave_up_at_id",
            by="letters that were given up on",
            statement=accounts.dead_letter_page(20, after=None),
        ),
        Earned(
            index="ix_email_changes_expires_at",
            by="clean-up of changes of address",
            statement=cleanup.EMAIL_CHANGES.bindparams(kept=timedelta(), batch=1000),
        ),
        Earned(
            index="ix_order_lines_vendor_id_order_id",
            by="a vendor's orders, the newest first",
            statement=orders.vendor_order_ids(VENDOR, PageRequest(), after=None),
        ),
        Earned(
            index="ix_order_lines_variant_id",
            by="the lines of a variant (its foreign key)",
            statement=select(OrderLine.order_id).where(OrderLine.variant_id == VARIANT),
        ),
        Earned(
            index="ix_order_events_order_id",
            by="what happened to an order",
            statement=select(OrderEvent).where(OrderEvent.order_id == USER),
        ),
        Earned(
            index="ix_sessions_user_id_is_revoked",
            by="the devices of a user",
            statement=accounts.live_sessions(USER),
        ),
        Earned(
            index="ix_sessions_absolute_expires_at",
            by="clean-up of sessions",
            statement=cleanup.SESSIONS.bindparams(kept=timedelta(), batch=1000),
        ),
        Earned(
            index="ix_audit_events_user_id_id",
            by="what happened to a user",
            statement=select(AuditEvent).where(AuditEvent.user_id == USER),
        ),
        Earned(
            index="ix_audit_events_occurred_at",
            by="clean-up of audit events",
            statement=cleanup.AUDIT_EVENTS.bindparams(kept=timedelta(days=495), batch=1000),
        ),
        Earned(
            index="ix_idempotency_keys_expires_at",
            by="clean-up of Idempotency-Keys",
            statement=cleanup.IDEMPOTENCY_KEYS.bindparams(kept=timedelta(), batch=1000),
        ),
        Earned(
            index="ix_stock_adjustments_variant_id_id",
            by="why the stock of a variant moved",
            statement=select(StockAdjustment)
            .where(StockAdjustment.variant_id == VARIANT)
            .order_by(StockAdjustment.id.desc()),
        ),
        Earned(
            index="ix_vendors_name",
            by="no name of a vendor is used twice",
            statement=text(ADD_VENDOR),
        ),
    )
