"""A shop that `marketplace place` has divided among the servers of a cluster: placed though killed, and used."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import psycopg
import pytest
import stock_races
from argon2 import PasswordHasher
from citus_cluster import URL, database_on_cluster
from pydantic import SecretStr
from sqlalchemy import Engine, NullPool, create_engine, update
from sqlalchemy.orm import Session

from marketplace import schema
from marketplace.catalog import stock
from marketplace.cleanup import clean_up
from marketplace.demo_data import PASSWORD, load_demo_data
from marketplace.entities import User
from marketplace.orders.service.expiry import expire_orders
from marketplace.placement import Placement
from marketplace.placing import BY_ITSELF, BY_USER, BY_VARIANT, EVERYWHERE, plan, steps
from marketplace.settings import Settings, sqlalchemy_url

TOUR = Path(__file__).parents[4] / "docs" / "tour.md"
WEBHOOK_KEY = "a key of the tour, which a provider signs with"
KILLED_AFTER = (1, 11, 20)  # steps of a run
PLACED = """
    SELECT logicalrelid::text FROM pg_dist_partition WHERE partmethod = 'h' OR repmodel = 't'
"""
SOME = "SELECT variant_id FROM variant_stock WHERE stock > 3 ORDER BY variant_id"
NOW = timedelta()


def place(url: str, *, kill_after: int | None = None) -> tuple[int, str]:
    """Run the command, and kill it once it has told of so many steps; the status, and what it said."""
    command = [Path(sys.executable).parent / "marketplace", "place", "--yes", "--citus", url]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"HOLDFAST_PROFILE": "test"},
    ) as process:
        assert process.stderr is not None
        assert process.stdout is not None
        if kill_after is not None:
            for _ in range(kill_after):
                process.stderr.readline()
            process.kill()
        said = process.stdout.read()
    return process.returncode, said


@pytest.fixture(scope="module")
def placed() -> Iterator[Engine]:
    """The demo shop on a cluster, placed by a command that was killed on its way."""
    if not URL:
        pytest.skip("HOLDFAST_TEST_CITUS_URL names no coordinator of a Citus cluster")
    with database_on_cluster(f"marketplace_test_{os.getpid()}") as cluster:
        url = cluster.coordinator
        engine = create_engine(sqlalchemy_url(SecretStr(url)), poolclass=NullPool)
        with engine.connect() as connection:
            schema.upgrade(connection)
        with Session(engine) as session:
            load_demo_data(session)
            cheap = PasswordHasher(memory_cost=8, time_cost=1, parallelism=1).hash(PASSWORD)
            session.execute(update(User).values(password_hash=cheap))
            session.commit()
        for steps_done in KILLED_AFTER:
            place(url, kill_after=steps_done)
        assert place(url)[0] == 0
        yield engine


@pytest.fixture(autouse=True)
def no_setting_of_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """The application knows no variable of this name, and refuses what it does not know."""
    monkeypatch.delenv("HOLDFAST_TEST_CITUS_URL", raising=False)


def libpq(engine: Engine) -> str:
    return engine.url.set(drivername="postgresql").render_as_string(hide_password=False)


def test_everything_is_in_its_place(placed: Engine) -> None:
    """A run that finds everything done says so, and does nothing."""
    status, said = place(libpq(placed))
    assert (status, said.splitlines()[-1]) == (0, "placed: nothing is left to do")
    assert said.count("done  ") == len(list(steps()))
    with psycopg.connect(libpq(placed), autocommit=True) as connection:
        assert plan(connection).due == ()
        found = {name for (name,) in connection.execute(PLACED).fetchall()}
    assert found == {*EVERYWHERE, *BY_USER, *BY_VARIANT, *BY_ITSELF}


@pytest.fixture
def settings() -> dict[str, object]:
    return {"payment_webhook_key": SecretStr(WEBHOOK_KEY), "placement": Placement.BY_USER}


@pytest.fixture
def shop(placed: Engine) -> Engine:
    """For `api`."""
    return placed


def test_the_tour(api: httpx.Client) -> None:
    """From top to bottom, as on one server."""
    script = "".join(re.findall(r"^```sh\n(.*?)^```", TOUR.read_text(), re.MULTILINE | re.DOTALL))
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env=os.environ | {"SHOP": str(api.base_url), "WEBHOOK_KEY": WEBHOOK_KEY},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.splitlines()[-1] == "401"


def in_shop(engine: Engine, race: Callable[[stock_races.Shop], Awaitable[object]]) -> object:
    async def run() -> object:
        async with stock_races.open_shop(engine.url, placement=Placement.BY_USER) as it:
            return await race(it)

    return asyncio.run(run())


def test_nothing_is_sold_twice(placed: Engine) -> None:
    """Of few units, many buyers at once, each with an order of their own."""
    sale = in_shop(placed, lambda it: stock_races.sale(it, units=10, buyers=30))
    assert sale == stock_races.Sale(bought=10, refused=20, left=0, in_lines=10)


def test_each_key_is_one_order(placed: Engine) -> None:
    """However often it is sent at once."""
    found = in_shop(placed, lambda it: stock_races.duplicates(it, keys=4, each=5, prefix="placed"))
    assert isinstance(found, stock_races.Duplicates)
    assert (found.placed, found.orders, found.different_answers) == (4, 4, 0)


def test_carts_in_any_order(placed: Engine) -> None:
    """Stock is taken in one order, on whichever servers it is."""
    found = in_shop(placed, lambda it: stock_races.crossing(it, orders=20))
    assert isinstance(found, stock_races.Crossing)
    assert found.orders == 20


def test_a_sale_waits_for_no_other(placed: Engine) -> None:
    """Of another variant, while the first is not committed (faults/scale 14)."""
    with psycopg.connect(libpq(placed)) as one, psycopg.connect(libpq(placed)) as other:
        first, *_, last = [key for (key,) in one.execute(SOME).fetchall()]
        one.execute(stock.TAKE_PLACED, {"variant_id": first, "quantity": 1})
        other.execute("SET LOCAL statement_timeout = '20s'")
        taken = other.execute(stock.TAKE_PLACED, {"variant_id": last, "quantity": 1})
        assert taken.rowcount == 1
        one.rollback()
        other.rollback()


def test_what_is_done_beside_the_requests(placed: Engine) -> None:
    """Orders expire, products are counted, old rows go."""

    async def jobs(it: stock_races.Shop) -> tuple[int, int, int]:
        await expire_orders(it.transactions, older_than=NOW, scarce_older_than=NOW)
        [variant] = await it.variants(1, stock=10)
        await it.order([(variant, 4)])
        expired = await expire_orders(it.transactions, older_than=NOW)
        await stock.roll_up_everything(it.transactions)
        return expired, await it.stock(variant), await stock.roll_up_everything(it.transactions)

    assert in_shop(placed, jobs) == (1, 10, 0)
    settings = Settings(placement=Placement.BY_USER)
    assert all(cleaned.rows >= 0 for cleaned in clean_up(placed, settings))
