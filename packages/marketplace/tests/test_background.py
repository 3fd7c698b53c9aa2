"""What is done beside the requests, by every process that serves."""

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta

import httpx
import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, func, select, update
from sqlalchemy.orm import Session

from holdfast.application.database import AsyncDatabase
from holdfast.engine.profiles import Profile
from marketplace.background import Job, jobs, running
from marketplace.database import database_settings
from marketplace.entities import IdempotencyKey, Order, OrderStatus
from marketplace.settings import BackgroundSettings, Settings

LIMIT = 30
DAY = timedelta(days=1)


def settings_for(engine: Engine, **background: object) -> Settings:
    url = SecretStr(engine.url.render_as_string(hide_password=False))
    return Settings(database_url=url, background=BackgroundSettings(**background))


def run_all(engine: Engine, *, is_ready: bool = True) -> dict[str, int | str]:
    """What each job said, or why it did not run."""

    async def run() -> dict[str, int | str]:
        database = AsyncDatabase(database_settings(engine.url, profile=Profile.TEST))
        database.has_started = is_ready
        found: dict[str, int | str] = {}
        for job in jobs(database, settings_for(engine)):
            try:
                found[job.name] = await job.run()
            except Exception as error:  # noqa: BLE001  # the test compares it
                found[job.name] = type(error).__name__
        await database.stop()
        return found

    return asyncio.run(run())


def test_orders_expire_and_rows_are_cleaned_up(shop: Engine) -> None:
    """The two pending orders of the demo shop are old; one key has expired. A second run finds nothing."""
    with Session(shop) as session:
        [order, *_] = session.scalars(select(Order))
        session.add(
            IdempotencyKey(
                user_id=order.ordered_by_id,
                key="old",
                method="POST",
                path="/checkout",
                fingerprint=bytes(32),
                status=201,
                response={},
                expires_at=func.now() - DAY,
            )
        )
        session.commit()
    quiet = {"letters sent": 0, "second factors sealed anew": 0}
    assert run_all(shop) == quiet | {"expired orders": 2, "cleaned up rows": 1}
    assert run_all(shop) == quiet | {"expired orders": 0, "cleaned up rows": 0}


def test_not_before_the_migrations(shop: Engine) -> None:
    """Nothing is touched while the process still waits for them."""
    found = run_all(shop, is_ready=False)
    assert len(found) == 4
    assert set(found.values()) == {"NotReady"}


def test_what_is_locked_is_left_to_whoever_has_it(shop: Engine) -> None:
    """Several processes at once: nobody waits, and nothing is done twice."""
    with Session(shop) as other:
        pending = select(Order.id).where(Order.status == OrderStatus.PENDING).limit(1)
        other.execute(
            update(Order).where(Order.id == other.scalar(pending)).values(shipping=Order.shipping)
        )
        assert run_all(shop)["expired orders"] == 1
    assert run_all(shop)["expired orders"] == 1


def test_switched_off(shop: Engine) -> None:
    """A timer, or another process, does it."""
    database = AsyncDatabase(database_settings(shop.url, profile=Profile.TEST))
    assert jobs(database, settings_for(shop, enabled=False)) == ()


def test_a_failure_is_logged_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    """The next job, and the next run, go on."""

    async def run() -> list[str]:
        runs: list[str] = []
        is_done = asyncio.Event()

        async def work() -> int:
            runs.append("failed" if not runs else "done")
            if len(runs) == 1:
                raise RuntimeError("no connection")
            is_done.set()
            return 3

        job = Job(name="a job", every=timedelta(milliseconds=1), run=work)
        async with asyncio.timeout(LIMIT), running((job,)):
            await is_done.wait()
        return runs

    with caplog.at_level(logging.INFO, logger="marketplace.background"):
        assert asyncio.run(run())[:2] == ["failed", "done"]
    assert caplog.messages[0] == "a job: failed, and is tried again in 0:00:00.001000"
    assert caplog.messages[1] == "a job: 3"


def test_the_end_does_not_wait_for_a_job() -> None:
    """What is under way is cancelled, and its clean-up is waited for."""

    async def run() -> list[str]:
        said: list[str] = []
        is_under_way = asyncio.Event()

        async def work() -> int:
            is_under_way.set()
            try:
                await asyncio.Event().wait()
            finally:
                said.append("rolled back")
            return 0

        job = Job(name="a job", every=timedelta(minutes=1), run=work)
        async with asyncio.timeout(LIMIT), running((job,)):
            await is_under_way.wait()
        said.append("ended")
        return said

    assert asyncio.run(run()) == ["rolled back", "ended"]


TELL = (
    """
    CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM pg_notify('orders', NEW.status); RETURN NULL; END $$
    """,
    "CREATE TRIGGER tell AFTER UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION tell()",
    "LISTEN orders",
)


def test_the_api_does_it(shop: Engine, serve: Callable[..., httpx.Client]) -> None:
    """Nobody has to set up a timer: old orders expire as soon as it serves, and it goes on serving."""
    address = shop.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address, autocommit=True) as listener:
        for statement in TELL:
            listener.execute(statement)
        api = serve(background=BackgroundSettings())
        told = next(listener.notifies(timeout=LIMIT), None)
        assert told is not None, f"no order was cancelled in {LIMIT} s"
        assert told.payload == "cancelled"
    assert api.get("/readyz").status_code == 200
