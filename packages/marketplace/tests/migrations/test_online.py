"""Changes of the schema reach a shop that is open: no request fails."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

import psycopg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.exc import DBAPIError

from holdfast import Profile, Settings, create_engine
from holdfast.execute.progress import Event as Progress
from holdfast.execute.progress import LockBusy, RevisionStarted
from holdfast.migrate.run import upgrade

BASELINE = "3f6c1d0a58e2"
VERSION_COLUMNS = "c5d80a3e7b46"
SESSION_ENTITY = "e19f4b6d2a70"
RATE_COUNTS = "c4a90d15e7b2"

GOODS = """
    INSERT INTO categories SELECT gen_random_uuid(), 'Kitchen';
    INSERT INTO subcategories SELECT gen_random_uuid(), id, 'Pots' FROM categories;
    INSERT INTO vendors SELECT gen_random_uuid(), 'Copper Kettle';
    INSERT INTO users (id, email, password_hash)
        SELECT gen_random_uuid(), n || '@example.org', 'x' FROM generate_series(1, 500) AS n;
    INSERT INTO products (id, vendor_id, subcategory_id, name, stock, price, currency)
        SELECT gen_random_uuid(), v.id, s.id, 'Pot ' || n, 1000, n, 'EUR'
        FROM vendors v, subcategories s, generate_series(1, 5000) AS n;
    INSERT INTO orders (id, ordered_by_id, currency, subtotal, shipping, total)
        SELECT gen_random_uuid(), id, 'EUR', 10, 5, 15 FROM users, generate_series(1, 10);
"""
REQUESTS = {
    "a page of products": "SELECT id, name, price, stock FROM products ORDER BY id LIMIT 20",
    "a customer's orders": """
        SELECT o.id, o.total, u.email FROM users u JOIN orders o ON o.ordered_by_id = u.id
        WHERE u.id = (SELECT max(ordered_by_id::text)::uuid FROM (SELECT * FROM orders LIMIT 9) AS few)""",
    "an order": """
        WITH sold AS (UPDATE products SET stock = stock - 1
                      WHERE id = (SELECT id FROM products OFFSET 7 LIMIT 1) RETURNING price)
        INSERT INTO orders (id, ordered_by_id, currency, subtotal, shipping, total)
        SELECT gen_random_uuid(), (SELECT id FROM users LIMIT 1), 'EUR', price, 5, price + 5 FROM sold""",
    "a registration": """
        INSERT INTO users (id, email, password_hash)
        SELECT gen_random_uuid(), gen_random_uuid() || '@example.org', 'x'""",
}


@dataclass(kw_only=True)
class Customers:
    """What they asked for, how often, and what went wrong."""

    served: dict[str, int] = field(default_factory=lambda: dict.fromkeys(REQUESTS, 0))
    errors: list[str] = field(default_factory=list)


@contextmanager
def customers_of(url: str) -> Iterator[Customers]:
    """For the block each kind of request is made again and again, through the shop's own pool."""
    customers, ended = Customers(), Event()
    engine = create_engine(Settings(profile=Profile.TEST, url=url))

    def ask(request: str) -> None:
        try:
            while not ended.wait(0.005):
                with engine.begin() as connection:
                    connection.exec_driver_sql(REQUESTS[request])
                customers.served[request] += 1
        except DBAPIError as error:
            customers.errors.append(f"{request}: {error}")

    threads = [Thread(target=ask, args=[request], daemon=True) for request in REQUESTS]
    for thread in threads:
        thread.start()
    try:
        yield customers
    finally:
        ended.set()
        for thread in threads:
            thread.join(30)
        engine.dispose()


@pytest.fixture
def open_shop(database: str, config: Config) -> str:
    """With the schema of the baseline, and goods."""
    upgrade(config, BASELINE)
    with psycopg.connect(database) as connection:
        connection.execute(GOODS)
    return database


def test_no_request_fails(open_shop: str, config: Config) -> None:
    """Also while a client keeps a product locked: the change of its table waits, the others' requests do not."""
    served_beside: list[dict[str, int]] = []
    with customers_of(open_shop) as customers, ExitStack() as client:

        def report(event: Progress) -> None:
            if isinstance(event, RevisionStarted) and event.revision == VERSION_COLUMNS:
                connection = client.enter_context(psycopg.connect(open_shop))
                connection.execute("UPDATE products SET stock = 9 WHERE name = 'Pot 4000'")
            if isinstance(event, LockBusy):
                served_beside.append(dict(customers.served))
                if len(served_beside) == 8:
                    client.close()

        upgrade(config, SESSION_ENTITY, report=report)
    assert customers.errors == []
    assert len(served_beside) >= 8
    assert all(served_beside[7][request] > served_beside[0][request] for request in REQUESTS)
    with psycopg.connect(open_shop) as connection:
        versions = connection.execute("SELECT version_num FROM alembic_version").fetchall()
        invalid = connection.execute("SELECT FROM pg_index WHERE NOT indisvalid").fetchall()
    assert (versions, invalid) == ([(SESSION_ENTITY,)], [])


@pytest.mark.everywhere
def test_nor_with_the_newest(open_shop: str, config: Config) -> None:
    """Letters, second factors, changes of address, delivery addresses, refund requests: the same."""
    upgrade(config, RATE_COUNTS)
    with customers_of(open_shop) as customers:
        upgrade(config, "head")
    assert customers.errors == []
    assert min(customers.served.values()) > 0
    with psycopg.connect(open_shop) as connection:
        assert connection.execute("SELECT FROM pg_index WHERE NOT indisvalid").fetchall() == []


WIDER = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "{revision}", "{before}"


def upgrade():
    op.alter_column("products", "stock", type_=sa.BigInteger())
    op.alter_column("orders", "status", type_=sa.Text())
    op.alter_column("orders", "currency", type_=sa.Text())


def downgrade():
    op.alter_column("products", "stock", type_=sa.Integer())
"""
TYPES = """
    SELECT attname::text, atttypid::regtype::text FROM pg_attribute
    WHERE (attrelid, attname) IN (('products'::regclass, 'stock'), ('orders'::regclass, 'status'),
      ('orders'::regclass, 'currency')) ORDER BY attname
"""


@pytest.mark.everywhere
def test_types_change_in_an_open_shop(open_shop: str, config: Config, tmp_path: Path) -> None:
    """A counter, a closed set and a code get wider types: no request fails, and no sale is lost."""
    upgrade(config, "head")
    history = ScriptDirectory.from_config(config)
    (tmp_path / "wider.py").write_text(
        WIDER.format(revision="ffffffffffff", before=history.get_current_head())
    )
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", f"{history.versions}\n{tmp_path}")
    with psycopg.connect(open_shop) as connection:
        stock = connection.execute("SELECT sum(stock) FROM products").fetchone()
        sold = connection.execute("SELECT count(*) FROM orders").fetchone()
    assert stock is not None
    assert sold is not None
    with customers_of(open_shop) as customers:
        upgrade(config, "head")
    assert customers.errors == []
    assert all(served > 10 for served in customers.served.values())
    with psycopg.connect(open_shop) as connection:
        assert connection.execute(TYPES).fetchall() == [
            ("currency", "text"),
            ("status", "text"),
            ("stock", "bigint"),
        ]
        now = connection.execute("SELECT sum(stock) FROM products").fetchone()
        orders = connection.execute("SELECT count(*) FROM orders").fetchone()
    assert now is not None
    assert orders is not None
    assert stock[0] - now[0] == orders[0] - sold[0] > 0
