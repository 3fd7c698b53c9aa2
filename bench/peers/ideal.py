"""The change set as an expert writes it by hand for PostgreSQL 18: the limit that `bench stall` measures tools against.

A lock that blocks users is asked for with NOWAIT, together with what needs it in one short transaction, and tried
again until it is free. Indexes are built concurrently, constraints added NOT VALID and validated apart.
"""

import random
import time

import psycopg

PAUSE = (0.025, 0.075)  # s
INDEXES = """
CREATE INDEX CONCURRENTLY ix_users_email ON users (email)
CREATE INDEX CONCURRENTLY ix_users_phone_number ON users (phone_number)
CREATE INDEX CONCURRENTLY ix_users_email_is_verified ON users (email, is_verified)
CREATE INDEX CONCURRENTLY ix_products_name ON products (name)
CREATE INDEX CONCURRENTLY ix_products_stock ON products (stock)
CREATE INDEX CONCURRENTLY ix_products_vendor_subcategory ON products (vendor_id, subcategory_id)
CREATE INDEX CONCURRENTLY ix_orders_ordered_by_status ON orders (ordered_by_id, status)
CREATE INDEX CONCURRENTLY ix_orders_payment_status ON orders (payment_status)
CREATE INDEX CONCURRENTLY ix_orders_created_at ON orders (created_at)
"""
SESSIONS = """
CREATE TABLE sessions (
    id uuid NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY, user_id integer NOT NULL,
    refresh_token_hash varchar(255) NOT NULL, user_agent varchar(255), ip_address varchar(45),
    expires_at timestamptz NOT NULL, is_revoked boolean NOT NULL DEFAULT false
)
"""


def locked(connection: psycopg.Connection, lock: str, change: str) -> None:
    """Make a change that takes a moment, as soon as its lock is free."""
    while True:
        try:
            with connection.transaction():
                connection.execute(f"LOCK TABLE {lock} MODE NOWAIT")
                connection.execute(change)
        except psycopg.errors.LockNotAvailable:
            time.sleep(random.uniform(*PAUSE))
        else:
            return


def change(connection: psycopg.Connection) -> None:
    for statement in INDEXES.strip().splitlines():
        connection.execute(statement)
    for table in ("products", "variants"):
        locked(
            connection,
            f"{table} IN ACCESS EXCLUSIVE",
            f"ALTER TABLE {table} ADD COLUMN version integer NOT NULL DEFAULT 1",
        )
    connection.execute(SESSIONS)
    connection.execute("CREATE INDEX ix_sessions_user_revoked ON sessions (user_id, is_revoked)")
    locked(
        connection,
        "users IN SHARE ROW EXCLUSIVE",
        "ALTER TABLE sessions ADD CONSTRAINT fk_sessions_user"
        " FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE",
    )
    locked(
        connection,
        "orders IN ACCESS EXCLUSIVE",
        "ALTER TABLE orders ADD CONSTRAINT orders_channel_not_null NOT NULL channel NOT VALID",
    )
    connection.execute("ALTER TABLE orders VALIDATE CONSTRAINT orders_channel_not_null")
    locked(
        connection,
        "orders, variants IN SHARE ROW EXCLUSIVE",
        "ALTER TABLE orders ADD CONSTRAINT fk_orders_variant"
        " FOREIGN KEY (variant_id) REFERENCES variants (id) NOT VALID",
    )
    connection.execute("ALTER TABLE orders VALIDATE CONSTRAINT fk_orders_variant")
    connection.execute(
        "CREATE UNIQUE INDEX CONCURRENTLY uq_orders_order_number ON orders (order_number)"
    )
    locked(
        connection,
        "orders IN ACCESS EXCLUSIVE",
        "ALTER TABLE orders ADD CONSTRAINT uq_orders_order_number"
        " UNIQUE USING INDEX uq_orders_order_number",
    )


with psycopg.connect(autocommit=True) as connection:  # PGHOST and its sisters say where
    change(connection)
