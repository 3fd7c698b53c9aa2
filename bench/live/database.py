"""The shop's database: seeded once into a template, copied for every window, compared with the change set after it."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from environments import CACHE
from psycopg import sql
from sqlalchemy import make_url

from holdfast.scratch.server import EmbeddedServer, binary, temporary_server

TEMPLATE, SHOP = "shop_template", "shop"
TABLES = ("orders", "variants", "products", "users")

# Against a temporary server's own: this one commits to a disk and vacuums, as one in production does. Checkpoints
# come between the windows, not in them. Its segments of WAL are there already, as they are where one has run for a day:
# whoever commits first in a segment that is new fills and syncs 16 MB, and all others wait (measured during a copy by
# any tool, and by hand: 50 ms, up to seven times a second).
SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "autovacuum": "on",
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "min_wal_size": "4GB",  # what a checkpoint keeps to be written again
    "checkpoint_timeout": "15min",
}
SEGMENT = 16_000_000  # bytes of WAL
WAL_OF_AN_ORDER = 2_000  # bytes, at most, in one window

# One row per object of the change set; names are left out, since tools choose their own.
APPLIED = """
    SELECT 'index', i.indrelid::regclass::text,
           (SELECT string_agg(a.attname, ', ' ORDER BY k.place)
            FROM unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (attnum, place)
            JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum)
           || CASE WHEN i.indisunique THEN ' unique' ELSE '' END
    FROM pg_index i WHERE i.indisvalid AND i.indrelid::regclass::text = ANY (%(tables)s)
    UNION SELECT 'foreign key', conrelid::regclass::text, confrelid::regclass::text
    FROM pg_constraint WHERE contype = 'f' AND convalidated
    UNION SELECT 'not null', a.attrelid::regclass::text, a.attname
    FROM pg_attribute a WHERE a.attnotnull AND a.attrelid::regclass::text = ANY (%(tables)s)
      AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conrelid = a.attrelid
                      AND c.contype = 'n' AND c.conkey = ARRAY[a.attnum] AND NOT c.convalidated)
"""
TYPES_LEFT = """
    SELECT attrelid::regclass || '.' || attname || ' is ' || format_type(atttypid, NULL)
    FROM pg_attribute WHERE atttypid <> 'bigint'::regtype AND NOT attisdropped
      AND (attrelid, attname) IN (('orders'::regclass, 'total_cents'), ('users'::regclass, 'id'))
    UNION SELECT conname || ' is not valid' FROM pg_constraint WHERE NOT convalidated
    UNION SELECT 'there are ' || count(*) || ' foreign keys to users' FROM pg_constraint
    WHERE contype = 'f' AND confrelid = 'users'::regclass HAVING count(*) <> 3
"""
PARTITIONS_LEFT = """
    SELECT indexrelid::regclass || ' is not valid' FROM pg_index WHERE NOT indisvalid
    UNION SELECT conname || ' is not valid' FROM pg_constraint WHERE NOT convalidated
    UNION SELECT name || ' is not there' FROM unnest(ARRAY['orders_created_at', 'orders_order_number',
      'orders_archive_created_at_idx', 'orders_archive_order_number_id_key']) AS name
    WHERE to_regclass(name) IS NULL
    UNION SELECT 'there is no foreign key to variants' WHERE NOT EXISTS (
      SELECT FROM pg_constraint WHERE conname = 'orders_variant' AND conrelid = 'orders_archive'::regclass)
    UNION SELECT relname || '.channel may be NULL' FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
    WHERE attname = 'channel' AND NOT attnotnull AND relkind IN ('r', 'p')
    UNION SELECT 'there are ' || count(*) || ' partitions' FROM pg_inherits
    WHERE inhparent = 'orders'::regclass HAVING count(*) <> 65
"""
LEFT = {"types": TYPES_LEFT, "partitions": PARTITIONS_LEFT}
CHANGE_SET = {
    ("index", "users", "email"),
    ("index", "users", "phone_number"),
    ("index", "users", "email, is_verified"),
    ("index", "products", "name"),
    ("index", "products", "stock"),
    ("index", "products", "vendor_id, subcategory_id"),
    ("index", "orders", "ordered_by_id, status"),
    ("index", "orders", "payment_status"),
    ("index", "orders", "created_at"),
    ("not null", "products", "version"),
    ("not null", "variants", "version"),
    ("index", "sessions", "user_id, is_revoked"),
    ("foreign key", "sessions", "users"),
    ("not null", "orders", "channel"),
    ("foreign key", "orders", "variants"),
    ("index", "orders", "order_number unique"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """How many rows the tables have, in proportion to the orders."""

    orders: int

    @property
    def by_table(self) -> dict[str, int]:
        return {
            "orders": self.orders,
            "users": self.orders * 3 // 20,
            "products": self.orders // 10,
            "variants": self.orders // 5,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """One database of the server, as the programs find it."""

    url: str

    def environment(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """What libpq, node-postgres, Django's settings and env.py read. Nothing of holdfast's own settings."""
        address = make_url(self.url)
        inherited = {name: os.environ[name] for name in os.environ if name[:8] != "HOLDFAST"}
        return {
            **inherited,
            "PGHOST": str(address.query["host"]),
            "PGPORT": str(address.query["port"]),
            "PGUSER": str(address.username),
            "PGDATABASE": str(address.database),
            "DATABASE_URL": str(address.set(drivername="postgresql+psycopg")),
            **(more or {}),
        }

    def run(self, *command: str, more: Mapping[str, str] | None = None, folder: Path) -> None:
        """A program that has to succeed."""
        environment = self.environment(more)
        ended = subprocess.run(
            command,
            env=environment,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        if ended.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{ended.stderr}{ended.stdout}")

    def prepare(self, changes: str, rows: Mapping[str, int]) -> None:
        """What another change set needs besides the shop, or in its place."""
        file = Path(__file__).parent / f"{changes}.sql"
        psql = (str(binary("psql")), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1")
        numbers = [f"--set={table}={number}" for table, number in rows.items()]
        self.run(*psql, *numbers, "--file", str(file), folder=file.parent)

    def left_of(self, changes: str) -> list[str]:
        """What of that change set is not as it was to become, or not valid."""
        with psycopg.connect(self.url) as connection:
            return [lacking for (lacking,) in connection.execute(LEFT[changes])]

    def missing(self) -> list[str]:
        """What of the change set is not there, or not valid."""
        tables = [*TABLES, "sessions"]
        with psycopg.connect(self.url) as connection:
            found = set(connection.execute(APPLIED, {"tables": tables}).fetchall())
        return [" ".join(lacking) for lacking in sorted(CHANGE_SET - found)]


@contextmanager
def shop_server(rows: Rows, more: Mapping[str, str] | None = None) -> Iterator[EmbeddedServer]:
    """A server on a disk with the template filled. `more` settings."""
    settings = {**SETTINGS, **(more or {})}
    with temporary_server(settings=settings, parent=CACHE / "server") as server:
        _maintain(server, sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
        numbers = [f"--set={table}={number}" for table, number in rows.by_table.items()]
        file = Path(__file__).parent / "shop.sql"
        template(server).run(
            *(str(binary("psql")), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", *numbers),
            *("--file", str(file)),
            folder=file.parent,
        )
        _fill_wal(server, segments=rows.orders * WAL_OF_AN_ORDER // SEGMENT)
        yield server


def _fill_wal(server: EmbeddedServer, *, segments: int) -> None:
    """Make segments of WAL, which the next checkpoint keeps to be written again."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        for _ in range(segments):
            connection.execute("SELECT pg_logical_emit_message(false, '', ''), pg_switch_wal()")


def template(server: EmbeddedServer) -> Database:
    return Database(url=server.url(TEMPLATE))


def fresh_copy(server: EmbeddedServer) -> Database:
    """The shop as it was before the change, its tables read once; what a window left before is gone."""
    name, of = sql.Identifier(SHOP), sql.Identifier(TEMPLATE)
    _maintain(server, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
    _maintain(server, sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(name, of))
    _maintain(server, sql.SQL("CHECKPOINT"))
    database = Database(url=server.url(SHOP))
    with psycopg.connect(database.url) as connection:
        for table in TABLES:
            connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table)))
    return database


def _maintain(server: EmbeddedServer, statement: sql.SQL | sql.Composed) -> None:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(statement)
