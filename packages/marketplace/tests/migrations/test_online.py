"""Changes of the schema reach a shop that is open: no request fails."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread

import psycopg
import pytest
from alembic.config import Config

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
        SELECT gen_random_uuid(), n || '@example.org', 'x' FROM generate_series(1, 2000) AS n;
    INSERT INTO products (id, vendor_id, subcategory_id, name, stock, price, currency)
        SELECT gen_random_uuid(), v.id, s.id, 'Pot ' || n, 1000, n, 'EUR'
        FROM vendors v, subcategories s, generate_series(1, 50000) AS n;
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
    """For the block each kind of request is made again and again."""
    customers, ended = Customers(), Event()

    def ask(request: str) -> None:
        try:
            with psycopg.connect(url, autocommit=True) as connection:
                while not ended.wait(0.005):
                    connection.execute(REQUESTS[request].encode())
                    customers.served[request] += 1
        except psycopg.Error as error:
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
                connection.execute("UPDATE products SET stock = 9 WHERE name = 'Pot 40000'")
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


def test_nor_with_the_newest(open_shop: str, config: Config) -> None:
    """Letters, second factors, changes of address, delivery addresses, refund requests: the same."""
    upgrade(config, RATE_COUNTS)
    with customers_of(open_shop) as customers:
        upgrade(config, "head")
    assert customers.errors == []
    assert min(customers.served.values()) > 0
    with psycopg.connect(open_shop) as connection:
        assert connection.execute("SELECT FROM pg_index WHERE NOT indisvalid").fetchall() == []
