"""`run --expand`, `finish`, and `revert` before it: two releases on one schema."""

from pathlib import Path

import pytest
from alembic_project import Project
from two_releases import executes, plain_dump, waits

from holdfast.migrate.finish import finish
from holdfast.migrate.run import downgrade, upgrade
from holdfast.scratch.databases import Postgres
from holdfast.scratch.dump import schema_dump

TABLES = """
    CREATE TABLE customers (id integer PRIMARY KEY, name text NOT NULL);
    INSERT INTO customers SELECT n, 'c' || n FROM generate_series(1, 3) AS n;
    CREATE TABLE orders (
        id integer PRIMARY KEY,
        customer integer NOT NULL CONSTRAINT orders_customer REFERENCES customers (id),
        code text NOT NULL CONSTRAINT orders_code UNIQUE CONSTRAINT orders_code_check CHECK (code <> ''),
        note text DEFAULT 'none',
        total integer NOT NULL CONSTRAINT orders_total CHECK (total IS NOT NULL AND total > 0)
    );
    CREATE INDEX orders_by_total ON orders (total);
    INSERT INTO orders SELECT n, 1 + n % 3, 'o' || n, 'n' || n, n FROM generate_series(1, 50) AS n;
    CREATE VIEW paid AS SELECT id FROM orders;
    CREATE FUNCTION twice(n integer) RETURNS integer LANGUAGE sql AS 'SELECT 2 * n';
    CREATE TYPE mood AS ENUM ('sad', 'ok');
    CREATE TABLE moods (id integer, how mood);
"""


@pytest.fixture
def shop(tmp_path: Path, database: str) -> Project:
    """Tables in use, at the first revision."""
    project = Project(folder=tmp_path / "project", database=database)
    project.revision(f"op.execute({TABLES!r})")
    upgrade(project.config, "head")
    return project


DROPS = (
    "ALTER TABLE orders DROP COLUMN customer",
    "ALTER TABLE orders DROP COLUMN total",
    "ALTER TABLE orders DROP CONSTRAINT orders_code",
    "ALTER TABLE orders ALTER COLUMN note DROP DEFAULT",
    "DROP VIEW paid",
    "DROP FUNCTION twice(integer)",
    "DROP TABLE customers",
    "ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'",
)


def test_drops_wait_and_end_as_plain(shop: Project, postgres: Postgres, tmp_path: Path) -> None:
    """Whatever is dropped: both releases write and read until `finish`; then the schema is plain Alembic's."""
    shop.revision(executes(*DROPS))
    upgrade(shop.config, "head", expand=True)
    assert shop.query("SELECT version_num FROM alembic_version") == [("r2",)]
    assert waits(shop) == [
        ("column", "customer"),
        ("column", "total"),
        ("unique key", "orders_code"),
        ("default", "note"),
        ("object", "paid"),
        ("object", "twice(integer)"),
        ("table", "customers"),
        ("value", "ok"),
    ]
    # The old release:
    shop.query(
        "INSERT INTO orders VALUES (100, 1, 'old', DEFAULT, 7) ON CONFLICT (code) DO NOTHING"
    )
    shop.query("SELECT id, twice(id) FROM paid")
    # The new one:
    shop.query("INSERT INTO orders (id, code) VALUES (101, 'new')")
    shop.query("DELETE FROM customers")
    finish(shop.config, yes=True)
    assert waits(shop) == []
    assert shop.query("SELECT count(*) FROM orders") == [(52,)]
    assert schema_dump(shop.database) == plain_dump(shop, postgres, tmp_path)


INVERSE = (
    "ALTER TYPE mood RENAME VALUE 'fine' TO 'ok'",
    "CREATE TABLE customers (id integer PRIMARY KEY, name text NOT NULL)",
    "CREATE FUNCTION twice(n integer) RETURNS integer LANGUAGE sql AS 'SELECT 2 * n'",
    "CREATE VIEW paid AS SELECT id FROM orders",
    "ALTER TABLE orders ALTER COLUMN note SET DEFAULT 'none'",
    "ALTER TABLE orders ADD CONSTRAINT orders_code UNIQUE (code)",
    "ALTER TABLE orders ADD COLUMN total integer NOT NULL DEFAULT 1",
    "CREATE INDEX orders_by_total ON orders (total)",
    "ALTER TABLE orders ADD COLUMN customer integer NOT NULL DEFAULT 1",
    "ALTER TABLE orders ADD CONSTRAINT orders_customer FOREIGN KEY (customer) REFERENCES customers (id)",
)


def test_a_revert_before_finish_loses_nothing(shop: Project) -> None:
    """Whatever waits: the inverse statements of downgrade() keep it, with what both releases have written."""
    before = schema_dump(shop.database)
    shop.revision(executes(*DROPS), executes(*INVERSE))
    upgrade(shop.config, "head", expand=True)
    shop.query("INSERT INTO orders VALUES (100, 2, 'old', 'x', 7)")
    shop.query("INSERT INTO orders (id, code) VALUES (101, 'new')")
    downgrade(shop.config, "-1")
    assert waits(shop) == []
    assert schema_dump(shop.database) == before
    assert shop.query("SELECT id, customer, total FROM orders WHERE id > 49 ORDER BY id") == [
        (50, 3, 50),
        (100, 2, 7),
        (101, 1, 1),
    ]
    assert shop.query("SELECT count(*) FROM customers") == [(3,)]
