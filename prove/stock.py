"""Races about stock in large numbers, on real connections to an embedded server.

`./dev prove stock [--times N]`: N times as many. A line for each case; status 1 when one has failed.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import click
from pydantic import SecretStr
from sqlalchemy import URL, NullPool, create_engine
from sqlalchemy.orm import Session

from holdfast.scratch.server import temporary_server
from marketplace import schema
from marketplace.demo_data import load_demo_data
from marketplace.settings import sqlalchemy_url

sys.path.insert(0, str(Path(__file__).parents[1] / "packages/marketplace/tests/kit"))
import stock_races as races  # what the tests run too, in small numbers
from stock_races import Crossing, Sale, Shop, open_shop

Case = Callable[[Shop, int], Awaitable[str]]


async def units(shop: Shop, times: int) -> str:
    for _ in range(times):
        sale = await races.sale(shop, units=1000, buyers=1600)
        assert sale == Sale(bought=1000, refused=600, left=0, in_lines=1000), sale
    return f"{times} x 1600 buyers of 1000 units: 1000 sold, 600 refused, 0 left"


async def keys(shop: Shop, times: int) -> str:
    replayed = 0
    for round_ in range(times):
        found = await races.duplicates(shop, keys=20, each=12, prefix=f"round {round_}")
        assert (found.placed, found.orders, found.different_answers) == (20, 20, 0), found
        assert found.replayed + found.in_flight == 220, found
        replayed += found.replayed
    return f"{times} x 20 keys of 12 duplicates: 20 orders, no other answer ({replayed} replays)"


async def five_lines(shop: Shop, times: int) -> str:
    began = time.monotonic()
    found = await races.crossing(shop, orders=2000 * times)
    assert found == Crossing(orders=2000 * times, deadlocks=0), found
    rate = found.orders / (time.monotonic() - began)
    return f"{found.orders} orders of 5 lines over 20 variants: 0 deadlocks ({rate:.0f} a second)"


async def a_deadlock(shop: Shop, times: int) -> str:
    for _ in range(5 * times):
        before = await shop.deadlocks()
        answer = await races.deadlocked(shop)
        assert (answer.status, answer.is_replay) == (201, False), answer
        assert await shop.stocks(answer) == [9, 9]
        assert await shop.deadlocks() == before + 1
    return f"{5 * times} real deadlocks: each order was tried again and placed"


CASES: tuple[Case, ...] = (units, keys, five_lines, a_deadlock)


def prepare(url: URL) -> None:
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        schema.upgrade(connection)
    with Session(engine) as session:
        load_demo_data(session)


async def run(case: Case, url: URL, times: int) -> str:
    async with open_shop(url) as shop:
        return await case(shop, times)


@click.command()
@click.option("--times", type=click.IntRange(1, 1000), default=1, show_default=True)
def main(times: int) -> None:
    failed = False
    with temporary_server() as server:
        url = sqlalchemy_url(SecretStr(server.url("postgres")))
        prepare(url)
        for case in CASES:
            try:
                print(f"ok      {asyncio.run(run(case, url, times))}", flush=True)
            except AssertionError as error:
                failed = True
                print(f"FAILED  {case.__name__}: {error}", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
