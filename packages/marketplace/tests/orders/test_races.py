"""Orders on many connections at once: small here, with the numbers of the issue in `./dev prove stock`."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest
import stock_races
from sqlalchemy import Engine
from stock_races import Crossing, Sale, Shop

T = TypeVar("T")


def in_shop(shop: Engine, race: Callable[[Shop], Awaitable[T]]) -> T:
    async def run() -> T:
        async with stock_races.open_shop(shop.url) as opened:
            return await race(opened)

    return asyncio.run(run())


def test_nothing_is_sold_twice(shop: Engine) -> None:
    """More buyers than units: each unit is sold, to one of them."""
    sale = in_shop(shop, lambda it: stock_races.sale(it, units=40, buyers=64))
    assert sale == Sale(bought=40, refused=24, left=0, in_lines=40)


def test_duplicates_make_one_order(shop: Engine) -> None:
    """Whichever of them comes first; the others get its answer, or are told that it is in flight."""
    found = in_shop(shop, lambda it: stock_races.duplicates(it, keys=5, each=8))
    assert (found.placed, found.orders, found.different_answers) == (5, 5, 0)
    assert found.replayed + found.in_flight == 35


@pytest.mark.parametrize("left", [9, 0])
def test_an_answer_that_came_meanwhile_is_given(shop: Engine, left: int) -> None:
    """Also where the order that gave it took the last unit: it is a replay, and has taken nothing."""

    async def race(it: Shop) -> tuple[bool, dict[str, Any], int, int]:
        [variant_id], before = await it.variants(1, stock=10), await it.orders()
        answer = await stock_races.overtaken(it, variant_id, left=left)
        orders = await it.orders() - before
        return answer.is_replay, answer.body, orders, await it.stock(variant_id)

    assert in_shop(shop, race) == (True, {"id": "the first"}, 0, left)


def test_orders_over_the_same_variants_do_not_deadlock(shop: Engine) -> None:
    """Whatever the order of the lines in the cart: stock is taken in one order."""
    found = in_shop(shop, lambda it: stock_races.crossing(it, orders=48, variants=8))
    assert found == Crossing(orders=48, deadlocks=0)


def test_a_deadlock_that_somebody_else_makes_is_survived(shop: Engine) -> None:
    """The whole order is tried again; the customer does not notice."""

    async def race(it: Shop) -> tuple[int, int, list[int]]:
        before = await it.deadlocks()
        answer = await stock_races.deadlocked(it)
        return answer.status, await it.deadlocks() - before, await it.stocks(answer)

    assert in_shop(shop, race) == (201, 1, [9, 9])
