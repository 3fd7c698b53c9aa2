"""Background jobs of every serving process: letters are sent, unpaid orders expire, old rows are cleaned up.

Several processes share the work: each job leaves alone what another has locked. A run that fails is logged and
tried again; it never ends the server.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from sqlalchemy import Engine
from sqlalchemy.util.concurrency import greenlet_spawn

from holdfast import AsyncDatabase
from marketplace.accounts.context import second_factor_vault
from marketplace.accounts.second_factor import seal_anew
from marketplace.catalog.stock import roll_up_everything
from marketplace.cleanup import clean_up
from marketplace.database import Transactions
from marketplace.orders.service.expiry import expire_orders
from marketplace.outbox import Outbox
from marketplace.placement import Placement
from marketplace.settings import Settings

logger = logging.getLogger(__name__)

RETRY = timedelta(seconds=10)  # after a failure, and while the database is not ready


class NotReady(Exception):
    """The database is not ready: migrations are running."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One background job: `run` gives the rows it dealt with; it is called at once, then `every` so often."""

    name: str
    every: timedelta
    run: Callable[[], Awaitable[int]]


def jobs(database: AsyncDatabase, settings: Settings) -> tuple[Job, ...]:
    """Give the jobs; None if they are switched off, so that another process or a timer has to do them."""
    if not settings.background.enabled:
        return ()
    transactions = Transactions.on(database.engine, placement=settings.placement)
    expire = partial(
        expire_orders,
        transactions,
        older_than=settings.order.unpaid_for,
        scarce_older_than=settings.order.unpaid_for_low_stock,
    )
    deliver = partial(Outbox.of(settings).deliver, transactions)
    reseal = partial(transactions.write, seal_anew, vault=second_factor_vault(settings))
    clean = partial(greenlet_spawn, _clean_up, database.engine.sync_engine, settings)
    every = settings.background
    roll_up = partial(roll_up_everything, transactions)
    counted = Job(
        name="stock of products counted",
        every=every.roll_up,
        run=_when_ready(database, roll_up),
    )
    return (
        *((counted,) if settings.placement is Placement.BY_USER else ()),
        Job(name="expired orders", every=every.expire_orders, run=_when_ready(database, expire)),
        Job(name="letters sent", every=every.letters, run=_when_ready(database, deliver)),
        Job(
            name="second factors sealed anew",
            every=every.cleanup,
            run=_when_ready(database, reseal),
        ),
        Job(name="cleaned up rows", every=every.cleanup, run=_when_ready(database, clean)),
    )


@asynccontextmanager
async def running(jobs: tuple[Job, ...]) -> AsyncIterator[None]:
    """Run the jobs in the block. At its end the current one is cancelled: its transaction is rolled back."""
    tasks = [asyncio.create_task(_repeat(job), name=job.name) for job in jobs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _repeat(job: Job) -> None:
    while True:
        pause = await _pause_after(job)
        await asyncio.sleep(pause.total_seconds())


async def _pause_after(job: Job) -> timedelta:
    retry = min(job.every, RETRY)
    try:
        rows = await job.run()
    except NotReady:
        return retry
    except Exception:
        logger.exception("%s: failed, and is tried again in %s", job.name, retry)
        return retry
    if rows:
        logger.info("%s: %d", job.name, rows)
    return job.every


def _when_ready(
    database: AsyncDatabase, work: Callable[[], Awaitable[int]]
) -> Callable[[], Awaitable[int]]:
    async def run() -> int:
        if not database.has_started:
            raise NotReady
        return await work()

    return run


def _clean_up(engine: Engine, settings: Settings) -> int:
    return sum(cleaned.rows for cleaned in clean_up(engine, settings))
