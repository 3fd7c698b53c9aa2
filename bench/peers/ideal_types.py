"""The two changes of types as an expert writes them by hand for PostgreSQL 18: the limit in A4 of `bench stall`.

A second column, kept equal by a trigger, filled in batches; its index built concurrently, its foreign keys NOT VALID
and validated; then the two columns change places in one short transaction.
"""

import random
import time

import psycopg

PAUSE = (0.025, 0.075)  # s
BATCH = 5_000  # rows


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


def fill(connection: psycopg.Connection, table: str, column: str) -> None:
    """Kept equal from here on; the rows that are there follow."""
    locked(
        connection,
        f"{table} IN ACCESS EXCLUSIVE",
        f"ALTER TABLE {table} ADD COLUMN big bigint;"
        f" CREATE FUNCTION {table}_big() RETURNS trigger LANGUAGE plpgsql AS"
        f" 'BEGIN new.big := new.{column}; RETURN new; END';"
        f" CREATE TRIGGER big BEFORE INSERT OR UPDATE OF {column} ON {table}"
        f" FOR EACH ROW EXECUTE FUNCTION {table}_big()",
    )
    last = connection.execute(f"SELECT max(id) FROM {table}").fetchone()[0]
    for start in range(1, last + 1, BATCH):
        connection.execute(
            f"UPDATE {table} SET big = {column} WHERE id >= {start} AND id < {start + BATCH}"
        )
    locked(
        connection,
        f"{table} IN ACCESS EXCLUSIVE",
        f"ALTER TABLE {table} ADD CONSTRAINT {table}_big NOT NULL big NOT VALID",
    )
    connection.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {table}_big")


def swapped(table: str, column: str, more: str = "") -> str:
    return (
        f"DROP TRIGGER big ON {table}; DROP FUNCTION {table}_big();{more}"
        f" ALTER TABLE {table} DROP COLUMN {column};"
        f" ALTER TABLE {table} RENAME COLUMN big TO {column}"
    )


def change(connection: psycopg.Connection) -> None:
    fill(connection, "orders", "total_cents")
    locked(connection, "orders IN ACCESS EXCLUSIVE", swapped("orders", "total_cents"))
    fill(connection, "users", "id")
    connection.execute("CREATE UNIQUE INDEX CONCURRENTLY users_big ON users (big)")
    keys = (("orders", "ordered_by_id", ""), ("addresses", "user_id", " ON DELETE CASCADE"))
    for table, column, action in (*keys, ("reviews", "user_id", " ON DELETE SET NULL")):
        name = f"{table}_{column}_fkey"
        both = f"{table}, users IN"
        locked(
            connection,
            f"{both} SHARE ROW EXCLUSIVE",
            f"ALTER TABLE {table} ADD CONSTRAINT {name}_big FOREIGN KEY ({column})"
            f" REFERENCES users (big){action} NOT VALID",
        )
        connection.execute(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}_big")
        locked(
            connection,
            f"{both} ACCESS EXCLUSIVE",
            f"ALTER TABLE {table} DROP CONSTRAINT {name};"
            f" ALTER TABLE {table} RENAME CONSTRAINT {name}_big TO {name}",
        )
    connection.execute("ANALYZE users (big)")
    key = (
        "; ALTER TABLE users ALTER id SET DEFAULT nextval('users_id_seq'),"
        " ADD CONSTRAINT users_pkey PRIMARY KEY USING INDEX users_big"
    )
    owned = " ALTER SEQUENCE users_id_seq OWNED BY users.big;"
    locked(connection, "users IN ACCESS EXCLUSIVE", swapped("users", "id", owned) + key)


with psycopg.connect(autocommit=True) as connection:  # PGHOST and its sisters say where
    change(connection)
