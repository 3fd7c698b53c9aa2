"""The usual way sells what is not there; ours does not."""

import pytest

from marketplace.demos.oversell import oversell


@pytest.mark.everywhere
def test_only_ours_and_the_locked_one_are_right() -> None:
    """The same buyers of the same units for each."""
    usual, locked, ours = oversell(units=60, buyers=100)
    assert usual.oversold > 0
    assert (locked.sold, locked.refused, locked.oversold, locked.stock_says) == (60, 40, 0, 0)
    assert (ours.sold, ours.refused, ours.oversold, ours.stock_says) == (60, 40, 0, 0)
