"""REFRESH MATERIALIZED VIEW."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from holdfast.errors.statement import LongStatement
from holdfast.rewrite.facts import Facts, RelationKind

Check = Callable[..., None]


@pytest.fixture
def views(facts: Facts) -> Facts:
    """A view with a unique index, one without, one that was never refreshed."""
    orders = replace(facts.relations["", "orders"], kind=RelationKind.MATERIALIZED_VIEW)
    relations = {
        ("", "v"): orders,
        ("", "without"): replace(orders, indexes=()),
        ("", "never"): replace(orders, is_populated=False),
    }
    return replace(facts, relations=relations)


def test_concurrently(views: Facts, check_steps: Check) -> None:
    """Reads of the view go on."""
    check_steps(
        "refresh materialized view v",
        "autocommit: REFRESH MATERIALIZED VIEW CONCURRENTLY public.orders",
        facts=views,
    )


@pytest.mark.parametrize("view", ["without", "never"])
def test_rows_that_cannot_be_compared(view: str, views: Facts, check_steps: Check) -> None:
    """Refused."""
    with pytest.raises(LongStatement):
        check_steps(f"refresh materialized view {view}", facts=views)
