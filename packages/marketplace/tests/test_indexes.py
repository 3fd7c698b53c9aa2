"""Each index is chosen for the query that it is there for; `./dev prove indexes` asks with 200,000 rows.

What each of them costs is in docs/indexes.md.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product

import pytest
from psycopg.types.json import Json
from seeded import (
    PRODUCT,
    SUBCATEGORY,
    USER,
    VARIANT,
    VENDOR,
    build,
    earned,
    engine_on,
    indexes_used,
)
from sqlalchemy import Connection, text

from marketplace.accounts.session_lookup import LOOKUP
from marketplace.catalog.queries import product_page
from marketplace.catalog.schemas import ProductFilters
from marketplace.cursors import MOST_ON_PAGE, Position
from marketplace.orders.idempotency import CLAIM_IN_TURN
from marketplace.orders.service.checkout import TAKE_OF_CUSTOMER

PRODUCTS = 10_000
# Those of constraints answer to that constraint.
INDEXES = text("""
    SELECT indexname FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'
      AND indexname NOT IN (SELECT conname FROM pg_constraint)
""")
# Nothing asks by them: each is there for the DELETE of the row that it refers to.
FOR_FOREIGN_KEYS = {
    "ix_users_vendor_id",
    "ix_stock_adjustments_adjusted_by_id",
    "ix_letters_user_id",
    "ix_refund_requests_refund_id",
}


@pytest.fixture
def connection(
    database_from: Callable[[str, Callable[[str], None]], str],
) -> Iterator[Connection]:
    url = database_from("seeded", partial(build, products=PRODUCTS))
    with engine_on(url).connect() as connection:
        yield connection


def test_each_index_is_earned(connection: Connection) -> None:
    """By every query that is named for it."""
    passed_over = {
        f"{query.index}: {query.by} takes {sorted(used) or 'none'}"
        for query in earned()
        if query.index not in (used := indexes_used(connection, query.statement))
    }
    assert passed_over == set()


def test_there_is_no_other_index(connection: Connection) -> None:
    """One that no query is named for would cost writes for nothing."""
    named = {query.index for query in earned()}
    assert set(connection.scalars(INDEXES)) == named | FOR_FOREIGN_KEYS


# How often the server has used a plan that it keeps.
KEPT = "SELECT sum(generic_plans) FROM pg_prepared_statements"
CALLS = 7  # for the first five the server makes a plan each, and compares


def pages() -> Iterator[tuple[str, object]]:
    """The page of products with each choice of filters, and from the middle on; but for what a name begins with.

    That is found in the index only where the plan knows the text.
    """
    chosen = product((None, VENDOR), (None, SUBCATEGORY), (20, MOST_ON_PAGE))
    for vendor, subcategory, limit in chosen:
        filters = ProductFilters(vendor=vendor, subcategory=subcategory, limit=limit)
        yield product_page(filters, after=None)
        yield product_page(filters, after=Position(value="8", key=PRODUCT))


def hot() -> Iterator[tuple[str, object]]:
    yield from pages()
    yield LOOKUP, [[USER]]
    yield CLAIM_IN_TURN, [USER, "key", USER, "key"]
    yield TAKE_OF_CUSTOMER, [USER, USER, Json({str(VARIANT): 1})]


def test_a_hot_path_keeps_its_plan(connection: Connection) -> None:
    """Whatever is asked of it: to plan costs the server as much as to answer."""
    planned_anew = []
    for statement, values in hot():
        driver = connection.connection.driver_connection
        assert driver is not None
        for _ in range(CALLS):
            driver.execute(statement, values, prepare=True)
        if not driver.execute(KEPT, prepare=False).fetchone()[0]:
            planned_anew.append((statement, values))
        driver.rollback()
        driver.execute("DEALLOCATE ALL")
    assert planned_anew == []
