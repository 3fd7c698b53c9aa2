"""Each index is chosen for the query that it is there for; `./dev prove indexes` asks with 200,000 rows.

What each of them costs is in docs/indexes.md.
"""

from collections.abc import Callable, Iterator
from functools import partial

import pytest
from seeded import build, earned, engine_on, indexes_used
from sqlalchemy import Connection, text

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
