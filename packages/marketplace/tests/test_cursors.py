"""A cursor says where a page ended, to us alone."""

from uuid import UUID

import pytest

from marketplace.cursors import Cursors, Position
from marketplace.problems import InvalidCursor

POSITION = Position(value="Löffel", key=UUID("019b8d62-7a80-7aea-bd2a-1d56fa1392e3"))


def test_what_was_sealed_is_opened() -> None:
    """In a text that fits into a URL as it is."""
    cursors = Cursors("key", pages="products")
    cursor = cursors.seal(POSITION)
    assert cursor.replace("-", "").replace("_", "").replace(".", "").isalnum()
    assert cursors.open(cursor) == POSITION


@pytest.mark.parametrize(
    "other", [Cursors("another", pages="products"), Cursors("key", pages="orders")]
)
def test_others_are_refused(other: Cursors) -> None:
    """Of another key, of another kind of page."""
    with pytest.raises(InvalidCursor):
        Cursors("key", pages="products").open(other.seal(POSITION))


def test_two_keys_are_valid_at_a_time() -> None:
    """Whichever of the two a cursor was made with, it is opened; it is made with the first."""
    old, new = Cursors("old", pages="orders"), Cursors("new", "old", pages="orders")
    assert new.open(old.seal(POSITION)) == POSITION
    with pytest.raises(InvalidCursor):
        old.open(new.seal(POSITION))


@pytest.mark.parametrize("text", ["", ".", "a", "a.b", "ü.ü", "W10.", "." * 100])
def test_what_is_none_is_refused(text: str) -> None:
    """Whatever stands there."""
    with pytest.raises(InvalidCursor):
        Cursors("key", pages="products").open(text)
