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
# The same rows once more, under other keys; of the other tables the shop has too few rows to measure.
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
# 20,000 sales, of 500 variants, each with a commit of its own: dead rows are pruned as in life.
SALES = """
    DO $$
    DECLARE sold uuid[] := ARRAY(SELECT variant_id FROM variant_stock ORDER BY 1 LIMIT 500);
    BEGIN
        FOR sale IN 1..20000 LOOP
            UPDATE variant_stock SET stock = stock - 1 WHERE variant_id = sold[1 + mod(sale, 500)];
            COMMIT;
        END LOOP;
    END $$
"""
RESTOCK = """
    UPDATE variant_stock SET stock = 1000
    WHERE variant_id IN (SELECT variant_id FROM variant_stock ORDER BY 1 LIMIT 500)
"""
COUNTS = text("""
    SELECT pg_stat_force_next_flush(), pg_stat_get_tuples_updated('variant_stock'::regclass),
           pg_stat_get_tuples_hot_updated('variant_stock'::regclass)
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
        if table not in COPY_ROWS:
            print(f"| `{index}` | `{table}` | not measured | not measured | not measured |")
            continue
        whole = min(cost(engine, None, table) for _ in range(2))
        without = min(cost(engine, index, table) for _ in range(2))
        print(
            f"| `{index}` | `{table}` | {size / 2**20:.1f} MB | {whole / ROWS:.0f} B "
            f"| {(whole - without) / ROWS:.0f} B |",
            flush=True,
        )


def print_sales(engine: Engine) -> None:
    """What an index on the stock would do to a sale."""
    print("\n| sale | HOT | WAL |\n|---|---|---|")
    indexes = {
        "as it is: no index on `variant_stock.stock`": None,
        "with an index on it": "(stock)",
        "with a partial index on low stock": "(stock) WHERE stock < 20",
    }
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        for name, index in indexes.items():
            if index:
                connection.exec_driver_sql(f"CREATE INDEX on_stock ON variant_stock {index}")
            connection.exec_driver_sql(RESTOCK)
            connection.exec_driver_sql(SALES)  # until the pages have room
            _, updated, hot = connection.execute(COUNTS).one()
            connection.exec_driver_sql(RESTOCK)
            wal = wal_of(connection, SALES)
            _, updated_then, hot_then = connection.execute(COUNTS).one()
            share = (hot_then - hot) / (updated_then - updated)
            print(f"| {name} | {100 * share:.0f} % | {wal / 20_000:.0f} B |", flush=True)
            connection.exec_driver_sql("DROP INDEX IF EXISTS on_stock")


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
