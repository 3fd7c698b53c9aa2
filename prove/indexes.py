"""Each index is chosen for its query on a shop with 200,000 products; and what each costs, as a table.

`./dev prove indexes [--products N]`. Status 1 when an index is passed over. The table is what
`docs/indexes.md` shows: the size, and the WAL that an INSERT writes for that index alone.
"""

import sys
import time
from pathlib import Path

import click
from sqlalchemy import Connection, Engine, text

from holdfast.scratch.server import temporary_server

sys.path.insert(0, str(Path(__file__).parents[1] / "packages/marketplace/tests/kit"))
from seeded import build, earned, engine_on, indexes_used  # what the tests ask too, of fewer rows

ROWS = 2000
INDEXES = text("""
    SELECT indexrelid::regclass::text, indrelid::regclass::text, pg_relation_size(indexrelid)
    FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    WHERE relnamespace = 'public'::regnamespace AND indrelid <> 'alembic_version'::regclass
      AND indexrelid NOT IN (SELECT conindid FROM pg_constraint)
    ORDER BY indrelid::regclass::text, indexrelid::regclass::text
""")
# The same rows once more, under other keys.
COPY_ROWS = {
    "vendors": "id = gen_random_uuid(), name = name || gen_random_uuid()",
    "users": "id = gen_random_uuid(), email = md5(email) || '@example.org', phone_number = NULL",
    "products": "id = gen_random_uuid(), name = md5(name)",
    "variants": "id = gen_random_uuid(), sku = sku || gen_random_uuid()",
    "orders": "id = gen_random_uuid()",
    "order_lines": "line_number = line_number + 2",
    "order_events": "id = gen_random_uuid()",
    "sessions": "id = gen_random_uuid()",
    "idempotency_keys": "key = key || gen_random_uuid()",
    "stock_adjustments": "id = gen_random_uuid()",
    "audit_events": "id = id + 10000000",
}
SALES = "UPDATE variants SET stock = stock - 1 WHERE id IN (SELECT id FROM variants ORDER BY id LIMIT 2000)"
HOT = text("""
    SELECT pg_stat_get_xact_tuples_updated('variants'::regclass),
           pg_stat_get_xact_tuples_hot_updated('variants'::regclass)
""")


def wal_of(connection: Connection, statement: str) -> int:
    """Bytes that it writes, in a transaction that is rolled back by the caller."""
    before = connection.scalar(text("SELECT pg_current_wal_insert_lsn()"))
    connection.exec_driver_sql(statement)
    return int(
        connection.scalar(text("SELECT pg_current_wal_insert_lsn() - :before"), {"before": before})
        or 0
    )


def cost(engine: Engine, index: str | None, table: str) -> int:
    """WAL of ROWS inserted rows, with that index gone."""
    with engine.connect() as connection:
        connection.exec_driver_sql("SET session_replication_role = replica")
        connection.exec_driver_sql(
            f"CREATE TEMP TABLE copied AS SELECT * FROM {table} LIMIT {ROWS}"
        )
        connection.exec_driver_sql(f"UPDATE copied SET {COPY_ROWS[table]}")
        if index is not None:
            connection.exec_driver_sql(f"DROP INDEX {index}")
        overriding = "OVERRIDING SYSTEM VALUE" if table == "audit_events" else ""
        return wal_of(connection, f"INSERT INTO {table} {overriding} SELECT * FROM copied")


def print_costs(engine: Engine) -> None:
    with engine.connect() as connection:
        indexes = connection.execute(INDEXES).all()
    print("\n| index | table | size | WAL of an INSERT, with it | for it |\n|---|---|---|---|---|")
    for index, table, size in indexes:
        whole = min(cost(engine, None, table) for _ in range(2))
        without = min(cost(engine, index, table) for _ in range(2))
        print(
            f"| `{index}` | `{table}` | {size / 2**20:.1f} MB | {whole / ROWS:.0f} B "
            f"| {(whole - without) / ROWS:.0f} B |",
            flush=True,
        )


def print_sales(engine: Engine) -> None:
    """What an index on the stock of variants would do to a sale."""
    print("\n| sale | HOT | WAL |\n|---|---|---|")
    for name, statement in (
        ("as it is: no index on variants.stock", None),
        ("with an index on it", "CREATE INDEX ON variants (stock)"),
        ("with a partial index on low stock", "CREATE INDEX ON variants (stock) WHERE stock < 20"),
    ):
        with engine.connect() as connection:
            if statement:
                connection.exec_driver_sql(statement)
            wal = wal_of(connection, SALES)
            updated, hot = connection.execute(HOT).one()
            print(f"| {name} | {100 * hot / updated:.0f} % | {wal / ROWS:.0f} B |", flush=True)


@click.command()
@click.option("--products", type=click.IntRange(10_000, 2_000_000), default=200_000)
def main(products: int) -> None:
    failed = False
    with temporary_server() as server:
        began = time.monotonic()
        build(server.url("postgres"), products=products)
        engine = engine_on(server.url("postgres"))
        print(f"seeded: {products} products in {time.monotonic() - began:.0f} s", flush=True)
        with engine.connect() as connection:
            for query in earned():
                used = indexes_used(connection, query.statement)
                if query.index in used:
                    print(f"ok      {query.index}: {query.by}")
                else:
                    failed = True
                    print(f"FAILED  {query.index}: {query.by} takes {sorted(used) or 'none'}")
        print_costs(engine)
        print_sales(engine)
    sys.exit(failed)


if __name__ == "__main__":
    main()
