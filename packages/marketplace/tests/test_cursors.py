"""A cursor says where a page ended, to us alone."""

from uuid import UUID

import pytest

from marketplace.cursors import Cursors, Position
from marketplace.problems import InvalidCursor

POSITION = Position(value="Löffel", key=UUID("019b8d62-7a80-7aea-bd2a-1d56fa1392e3"))


def test_what_was_sealed_is_opened() -> None:
    """In a text that fits into a URL as it is."""
    cursors = Cursors(key="key", pages="products")
    cursor = cursors.seal(POSITION)
    assert cursor.replace("-", "").replace("_", "").replace(".", "").isalnum()
    assert cursors.open(cursor) == POSITION


@pytest.mark.parametrize(
    "other", [Cursors(key="another", pages="products"), Cursors(key="key", pages="orders")]
)
def test_others_are_refused(other: Cursors) -> None:
    """Of another key, of another kind of page."""
    with pytest.raises(InvalidCursor):
        Cursors(key="key", pages="products").open(other.seal(POSITION))
