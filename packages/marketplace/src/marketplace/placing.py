"""Divides a database by user on a Citus cluster: plans what is left to do, and does it step by step.

Each step asks first whether it was done, so a run after a kill goes on where the one before was. What belongs to a user
is on one server, found by the user's id; the catalogue and the users are on every server; stock is divided by variant.
`docs/scale.md` says why, and what it costs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from marketplace.errors import NotACluster, NotReadyToPlace
from marketplace.schema import known_revisions

Connection = psycopg.Connection[tuple[object, ...]]

# Tables in the order in which they refer to each other.
EVERYWHERE = ("vendors", "categories", "subcategories", "users", "products", "variants")
BY_USER = {
    "orders": "ordered_by_id",
    "order_lines": "ordered_by_id",
    "order_events": "ordered_by_id",
    "delivery_addresses": "ordered_by_id",
    "sessions": "user_id",
    "idempotency_keys": "user_id",
    "email_verifications": "user_id",
    "email_changes": "user_id",
    "second_factors": "user_id",
    "recovery_codes": "user_id",
    "audit_events": "user_id",
}
BY_VARIANT = {"variant_stock": "variant_id", "stock_adjustments": "variant_id"}
BY_ITSELF = {"payment_events": "id"}
# On the first server: few rows, or a queue that one process at a time works on.
FIRST_SERVER = ("letters", "rate_counts", "refunds", "refund_requests")

# A unique key has to have the column by which its table is divided.
KEYS = {
    "orders": ("ordered_by_id", "id"),
    "order_lines": ("ordered_by_id", "order_id", "line_number"),
    "order_events": ("ordered_by_id", "id"),
    "delivery_addresses": ("ordered_by_id", "order_id"),
    "sessions": ("user_id", "id"),
    "audit_events": ("user_id", "id"),
    "stock_adjustments": ("variant_id", "id"),
}
# For what knows the id alone: the payment provider, vendors, administrators.
BY_ID = {
    "orders": "ix_orders_id",
    "sessions": "ix_sessions_id",
    "order_lines": "ix_order_lines_order_id",
}
BY_ID_COLUMN = {"orders": "id", "sessions": "id", "order_lines": "order_id"}
# Foreign keys to orders: those of what is beside its order come again with its owner, the others cannot be.
TO_ORDERS = {
    "order_lines": "fk_order_lines_order_id_orders",
    "order_events": "fk_order_events_order_id_orders",
    "delivery_addresses": "fk_delivery_addresses_order_id_orders",
}
NOT_KEPT = {
    "payment_events": ("fk_payment_events_order_id_orders",),
    "refunds": ("fk_refunds_order_id_orders", "fk_refunds_payment_event_id_payment_events"),
    "refund_requests": ("fk_refund_requests_order_id_orders",),
}

IS_CLUSTER = "SELECT count(*) FROM pg_extension WHERE extname = 'citus'"
WORKERS = "SELECT count(*) FROM pg_dist_node WHERE noderole = 'primary' AND groupid > 0 AND shouldhaveshards"
REVISION = "SELECT version_num FROM alembic_version"
WAITING = "SELECT to_regclass('holdfast.waiting') IS NOT NULL"
WHAT_WAITS = "SELECT count(*) FROM holdfast.waiting"
# Each step asks one of these; a row: it was done.
IS_PLACED = "SELECT FROM pg_dist_partition WHERE logicalrelid = %s::regclass AND (partmethod = 'h' OR repmodel = 't')"
HAS_CONSTRAINT = "SELECT FROM pg_constraint WHERE conrelid = %s::regclass AND conname = %s"
KEY_COLUMNS = """
    SELECT FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'p'
      AND (SELECT array_agg(attname::text ORDER BY place) FROM unnest(conkey) WITH ORDINALITY AS k (number, place)
           JOIN pg_attribute ON attrelid = conrelid AND attnum = number) = %s
"""
# What is on every server may then change in one transaction with what is on one.
SEQUENTIAL = """
DO $$ BEGIN
    EXECUTE format('ALTER DATABASE %I SET citus.multi_shard_modify_mode = sequential', current_database());
END $$
"""
IS_SEQUENTIAL = """
    SELECT FROM pg_db_role_setting JOIN pg_database ON pg_database.oid = setdatabase
    WHERE datname = current_database() AND 'citus.multi_shard_modify_mode=sequential' = ANY(setconfig)
"""
HAS_INDEX = "SELECT FROM pg_class WHERE oid = to_regclass(%s)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step: its name, its statements in a transaction, and a query that shows if it is done (or undone)."""

    what: str
    statements: tuple[str, ...]
    question: str
    about: tuple[object, ...]
    is_done_by_a_row: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What was done before, and what is left to do."""

    done: tuple[Step, ...]
    due: tuple[Step, ...]


def steps() -> Iterator[Step]:
    """Give all steps, in their order."""
    for table, names in NOT_KEPT.items():
        yield from (_without_key(table, name) for name in names)
    yield from (_without_key(table, name) for table, name in TO_ORDERS.items())
    yield from (_everywhere(table) for table in EVERYWHERE)
    for table, columns in KEYS.items():
        yield _key(table, columns)
    for table, name in BY_ID.items():
        column = BY_ID_COLUMN[table]
        yield Step(
            what=f"{table} are found by {column} alone, too",
            statements=(f"CREATE INDEX {name} ON {table} ({column})",),
            question=HAS_INDEX,
            about=(name,),
        )
    for group in (BY_USER, BY_VARIANT, BY_ITSELF):
        first = next(iter(group))
        for table, column in group.items():
            yield _divided(table, column, beside=None if table == first else first)
    for table, name in TO_ORDERS.items():
        yield _key_to_orders(table, f"{name}_of_owner"[:63])
    yield Step(
        what="a change on several servers is made on one after the other",
        statements=(SEQUENTIAL,),
        question=IS_SEQUENTIAL,
        about=(),
    )


def plan(connection: Connection) -> Plan:
    """Find out what is left to do. Raises `NotACluster`, `NotReadyToPlace`; changes nothing."""
    _require_cluster(connection)
    _require_ready(connection)
    everything = tuple(steps())
    done = tuple(step for step in everything if is_done(connection, step))
    if len(done) == len(everything):
        return Plan(done=done, due=())
    # Keys that are gone because their table is placed were dropped by a run before.
    return Plan(done=done, due=tuple(step for step in everything if step not in done))


def is_done(connection: Connection, step: Step) -> bool:
    """Whether an earlier run has done the step."""
    found = connection.execute(step.question.encode(), step.about).rowcount > 0
    return found is step.is_done_by_a_row


def place(connection: Connection, due: Sequence[Step]) -> Iterator[Step]:
    """Do the steps, and give each once it is done. `connection` is in autocommit; a kill leaves whole steps."""
    for step in due:
        with connection.transaction():
            # One connection to each server: a change of a table that all have may follow one of divided ones.
            connection.execute("SET LOCAL citus.multi_shard_modify_mode = 'sequential'")
            for statement in step.statements:
                connection.execute(statement.encode())
        yield step


def _without_key(table: str, name: str) -> Step:
    return Step(
        what=f"{table} without {name}",
        statements=(f"ALTER TABLE {table} DROP CONSTRAINT {name}",),
        question=HAS_CONSTRAINT,
        about=(table, name),
        is_done_by_a_row=False,
    )


def _everywhere(table: str) -> Step:
    return Step(
        what=f"{table} on every server",
        statements=(f"SELECT create_reference_table('{table}')",),
        question=IS_PLACED,
        about=(table,),
    )


def _key(table: str, columns: tuple[str, ...]) -> Step:
    listed = ", ".join(columns)
    return Step(
        what=f"the key of {table} is ({listed})",
        statements=(
            f"ALTER TABLE {table} DROP CONSTRAINT pk_{table}",
            f"ALTER TABLE {table} ADD CONSTRAINT pk_{table} PRIMARY KEY ({listed})",
        ),
        question=KEY_COLUMNS,
        about=(table, list(columns)),
    )


def _divided(table: str, column: str, *, beside: str | None) -> Step:
    with_ = "none" if beside is None else beside
    return Step(
        what=f"{table} divided by {column}",
        statements=(
            f"SELECT create_distributed_table('{table}', '{column}', colocate_with => '{with_}')",
        ),
        question=IS_PLACED,
        about=(table,),
    )


def _key_to_orders(table: str, name: str) -> Step:
    return Step(
        what=f"{table} refer to orders, with the owner",
        statements=(
            (
                f"ALTER TABLE {table} ADD CONSTRAINT {name} FOREIGN KEY (ordered_by_id, order_id)"
                " REFERENCES orders (ordered_by_id, id) ON DELETE CASCADE"
            ),
        ),
        question=HAS_CONSTRAINT,
        about=(table, name),
    )


def _require_cluster(connection: Connection) -> None:
    if not _one(connection, IS_CLUSTER):
        raise NotACluster(lacks="the extension citus is not in this database")
    if not _one(connection, WORKERS):
        raise NotACluster(lacks="it has no worker that takes rows")


def _require_ready(connection: Connection) -> None:
    head = known_revisions()[0]
    if _one(connection, "SELECT to_regclass('alembic_version') IS NOT NULL"):
        found = _one(connection, REVISION)
    else:
        found = None
    if found != head:
        raise NotReadyToPlace(
            why_not=f"it is at revision {found}, not at {head}", way="holdfast run"
        )
    if _one(connection, WAITING) and _one(connection, WHAT_WAITS):
        raise NotReadyToPlace(
            why_not="the release before this one may still use it", way="holdfast finish"
        )


def _one(connection: Connection, query: str) -> object:
    row = connection.execute(sql.SQL(query)).fetchone()
    return None if row is None else row[0]
