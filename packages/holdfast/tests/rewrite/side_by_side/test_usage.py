"""A statement of somebody that names what waits to go is told from one that does not, by its syntax tree."""

import pytest

from holdfast.rewrite.names import QualifiedName
from holdfast.rewrite.side_by_side.usage import uses
from holdfast.rewrite.waiting import Waiting

ORDERS = QualifiedName(schema="public", name="orders")
COLUMN = Waiting(what="column name", name="a", new_name="b", relation=ORDERS, sql="")
TABLE = Waiting(what="table name", name="old", new_name="orders", relation=ORDERS, sql="")
VIEW = Waiting(what="object", kind="view", name="shop.paid", sql="")
FUNCTION = Waiting(what="object", kind="function", name="twice(integer)", sql="")

CASES = [
    (COLUMN, "SELECT o.a FROM orders o WHERE o.id = $1", True),
    (COLUMN, "INSERT INTO public.orders (id, a) VALUES ($1, $2)", True),
    (COLUMN, "UPDATE orders SET a = $1", True),
    (COLUMN, "INSERT INTO orders (id) VALUES ($1) ON CONFLICT (a) DO NOTHING", True),
    (COLUMN, "COPY orders (id, a) TO STDOUT", True),
    (COLUMN, "SELECT b FROM orders WHERE note = 'a'", False),
    (COLUMN, "SELECT a FROM others", False),
    (COLUMN, "SELECT a FROM shop.orders", False),
    (COLUMN, "ALTER TABLE orders RENAME a TO b", False),
    (
        COLUMN,
        "UPDATE ONLY public.orders SET b = a WHERE NOT record_image_eq(ROW(a), ROW(b))",
        False,
    ),
    (TABLE, "DELETE FROM old WHERE id = $1", True),
    (TABLE, "SELECT * FROM orders", False),
    (VIEW, "SELECT count(*) FROM shop.paid", True),
    (FUNCTION, "SELECT twice($1)", True),
    (FUNCTION, "SELECT 'twice'", False),
    (COLUMN, "SELECT a FROM orders WHERE", False),  # cut off by the server
]


@pytest.mark.parametrize(("waiting", "sql", "expected"), CASES)
def test_uses(waiting: Waiting, sql: str, expected: bool) -> None:
    """Whatever the form of the statement, and whoever else has a column of that name."""
    assert uses(sql, waiting) is expected
