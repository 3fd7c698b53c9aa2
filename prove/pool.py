"""Chaos on the pool: no place is lost, no state is seen twice, no answer comes later than its deadline and a second.

`./dev prove pool [--minutes N] [--seed N]`, three minutes by default. Borrowers of all kinds (threads, tasks, lent
connections, looks for health) on small pools, while backends are terminated and killed, frozen and thawed, requests
cancelled, time limits raised by signals, children forked, connections forgotten, the server restarted. Figures at
the end; status 1 when a promise does not hold.
"""

import asyncio
import gc
import logging
import os
import random
import signal
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click
import psycopg
from psycopg import AsyncConnection, IsolationLevel
from psycopg.rows import dict_row
from sqlalchemy import Engine, text
from sqlalchemy.ext.asyncio import AsyncEngine

from holdfast import AsyncDatabase, Database, Settings
from holdfast.engine.pool.sized import AsyncSizedPool, SizedPool
from holdfast.scratch.server import EmbeddedServer, temporary_server

MAX, TIMEOUT = 4, 1.0
LATE = TIMEOUT + 1  # seconds, for a checkout; a look for health has 250 ms more
SESSION = """
    SELECT current_user::text, current_setting('search_path'), current_setting('transaction_isolation'),
           ARRAY(SELECT pg_listening_channels())
"""
FRESH = ("postgres", '"$user", public', "read committed", [])
STATEMENTS = (
    "SET ROLE pg_monitor",
    "SET search_path TO nowhere",
    "LISTEN news",
    "SELECT pg_sleep(60)",
)


class TimeLimit(Exception):
    """What the handler of a signal raises, as a soft time limit does."""


class Report:
    """What has happened, and which promises did not hold."""

    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()
        self.broken: Counter[str] = Counter()
        self.longest: dict[str, float] = {}

    @contextmanager
    def within(self, what: str, seconds: float) -> Iterator[None]:
        """Whatever it answers, it answers in time."""
        began = time.monotonic()
        try:
            yield
        finally:
            took = time.monotonic() - began
            self.counted[what] += 1
            self.longest[what] = max(took, self.longest.get(what, 0))
            if took > seconds:
                self.broken[f"{what} took {took:.1f} s"] += 1

    def expect(self, is_so: bool, otherwise: str) -> None:
        if not is_so:
            self.broken[otherwise] += 1


def settings(server: EmbeddedServer, name: str) -> Settings:
    limits = {"max": MAX, "min": 1, "idle": "500ms", "timeout": f"{TIMEOUT:.0f}s"}
    return Settings(profile="test", url=server.url(), application_name=name, pool=limits)


def check_out(engine: Engine, report: Report) -> Any:
    with report.within("checkout in a thread", LATE):
        return engine.connect()


def borrow(engine: Engine, report: Report, dice: random.Random) -> None:
    """One request of a thread: used, invalidated, detached, or forgotten in a circle."""
    connection = check_out(engine, report)
    match dice.randrange(12):
        case 0:
            connection.invalidate()
        case 1:
            connection.detach()
        case 2:
            circle = [connection]
            circle.append(circle)
            return
        case _:
            found = tuple(connection.execute(text(SESSION)).one())
            report.expect(found == FRESH, f"a thread has seen {found}")
    connection.close()


async def borrow_in_loop(engine: AsyncEngine, report: Report, dice: random.Random) -> None:
    began = time.monotonic()
    async with engine.connect() as connection:
        took = time.monotonic() - began
        report.counted["checkout in a task"] += 1
        report.expect(took < LATE, f"a checkout in a task took {took:.1f} s")
        found = tuple((await connection.execute(text(SESSION))).one())
        report.expect(found == FRESH, f"a task has seen {found}")
        await asyncio.sleep(dice.random() / 100)


async def lend(engine: AsyncEngine, report: Report, dice: random.Random) -> None:
    """A borrower that leaves something: on the driver, or in the session."""
    pool = engine.sync_engine.pool
    assert isinstance(pool, AsyncSizedPool)
    async with pool.lend() as driver:
        assert isinstance(driver, AsyncConnection)
        found = await (await driver.execute(SESSION)).fetchone()
        report.counted["loan"] += 1
        report.expect(found == FRESH, f"a borrower has seen {found}")
        await driver.rollback()
        match dice.randrange(6):
            case 0:
                driver.row_factory = dict_row  # type: ignore[assignment]  # that is what is wrong with it
            case 1:
                await driver.set_isolation_level(IsolationLevel.SERIALIZABLE)
            case 2:
                await driver.set_read_only(True)
            case _:
                await driver.execute(dice.choice(STATEMENTS).encode())
                await driver.commit()


def threads_at_work(database: Database, report: Report, until: float, seed: int) -> None:
    dice = random.Random(seed)
    while time.monotonic() < until:
        with suppress(Exception):
            if dice.random() < 0.1:
                with report.within("health", LATE + 0.25):
                    database.health()
            else:
                borrow(database.engine, report, dice)
        time.sleep(dice.random() / 200)


def tasks_at_work(database: AsyncDatabase, report: Report, until: float, seed: int) -> None:
    """One loop after the other; each ends as asyncio.run does: what still runs is cancelled.

    Not closed in the middle of a query: a greenlet of SQLAlchemy that is collected then waits for a loop that is
    gone, in the garbage collection itself, which never runs again. The tests close loops so, one at a time.
    """
    dice = random.Random(seed)
    kinds: tuple[Callable[..., Awaitable[None]], ...] = (borrow_in_loop, lend)

    async def one() -> None:
        with suppress(Exception):
            await asyncio.wait_for(dice.choice(kinds)(database.engine, report, dice), dice.random())

    async def round_() -> None:
        for _ in range(20):
            tasks = [asyncio.create_task(one()) for _ in range(8)]
            began = time.monotonic()
            with suppress(Exception):
                await database.health()
            took = time.monotonic() - began
            report.counted["health in a loop"] += 1
            report.expect(took < LATE + 0.25, f"health in a loop took {took:.1f} s")
            if dice.random() < 0.2:
                return  # the others are cancelled
            await asyncio.wait(tasks, timeout=10)

    while time.monotonic() < until:
        with suppress(Exception):
            asyncio.run(round_())
        report.counted["loop"] += 1


def harm(server: EmbeddedServer, report: Report, until: float, seed: int) -> None:
    """What happens to servers: backends are terminated, killed, frozen; the whole is restarted."""
    dice = random.Random(seed)
    while time.monotonic() < until:
        time.sleep(dice.random() / 2)
        with suppress(Exception):
            what = dice.choices(("terminate", "freeze", "kill", "restart"), (20, 10, 1, 1))[0]
            report.counted[what] += 1
            if what == "restart":
                server.stop()
                server.start()
                continue
            with psycopg.connect(server.url(), autocommit=True) as admin:
                query = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'chaos%'"
                pids = [pid for (pid,) in admin.execute(query)]
            for pid in dice.sample(pids, min(2, len(pids))):
                if what == "freeze":
                    os.kill(pid, signal.SIGSTOP)
                    threading.Timer(dice.random() * 4, thaw, (pid,)).start()
                else:
                    os.kill(pid, signal.SIGTERM if what == "terminate" else signal.SIGKILL)


def thaw(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def main_thread_at_work(database: Database, report: Report, until: float, seed: int) -> None:
    """Requests under a time limit that a signal raises anywhere; and children."""
    dice = random.Random(seed)

    def strike(*_: object) -> None:
        raise TimeLimit

    signal.signal(signal.SIGALRM, strike)
    while time.monotonic() < until:
        with suppress(TimeLimit):  # one that has come late
            under_time_limit(database, report, seconds=dice.uniform(2e-5, 5e-3))
        if dice.random() < 0.01:
            child(database, dice.randrange(3))
            report.counted["child"] += 1


def under_time_limit(database: Database, report: Report, *, seconds: float) -> None:
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        with database.engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    except TimeLimit:
        report.counted["struck"] += 1
    except Exception as error:  # noqa: BLE001  # whatever a harmed server brings
        report.counted[type(error).__name__] += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def child(database: Database, call: int) -> None:
    """It disposes, stops or uses; what it does to its parent is found by the others."""
    pid = os.fork()
    if pid == 0:
        with suppress(BaseException):
            (database.stop, database.engine.dispose, database.engine.connect)[call]()
        os._exit(0)
    limit = time.monotonic() + 20
    while os.waitpid(pid, os.WNOHANG) == (0, 0):
        if time.monotonic() > limit:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)


def all_places_serve(pool: Any, take: Callable[[], Any], report: Report, name: str) -> None:
    """Afterwards: nothing is in use, and as many as ever can be had at once."""
    gc.collect()  # what was forgotten in circles is returned by the pool's thread
    time.sleep(1)
    served = 0
    with suppress(Exception):
        served = take()
    report.expect(served == MAX, f"{name}: not all places serve: {pool.figures()}")
    limit = time.monotonic() + 20
    while (stands := pool.figures()).used + stands.connecting and time.monotonic() < limit:
        gc.collect()
        time.sleep(0.05)
    report.expect(stands.used + stands.connecting == 0, f"{name}: places are lost: {stands}")


def take_all(engine: Engine) -> int:
    connections = [engine.connect() for _ in range(MAX)]
    found = len({connection.scalar(text("SELECT pg_backend_pid()")) for connection in connections})
    for connection in connections:
        connection.close()
    return found


async def take_all_in_loop(engine: AsyncEngine) -> int:
    connections = [await engine.connect() for _ in range(MAX)]
    pids = {await connection.scalar(text("SELECT pg_backend_pid()")) for connection in connections}
    for connection in connections:
        await connection.close()
    return len(pids)


def chaos(server: EmbeddedServer, report: Report, *, minutes: float, seed: int) -> None:
    threaded = Database(settings(server, "chaos in threads"))
    looped = AsyncDatabase(settings(server, "chaos in loops"))
    threaded.has_started = looped.has_started = True
    take_all(threaded.engine)
    until = time.monotonic() + minutes * 60
    work = [
        *((threads_at_work, threaded, report, until, seed + number) for number in range(4)),
        (tasks_at_work, looped, report, until, seed + 10),
        (harm, server, report, until, seed + 20),
    ]
    threads = [threading.Thread(target=run, args=arguments) for run, *arguments in work]
    for thread in threads:
        thread.start()
    main_thread_at_work(threaded, report, until, seed + 30)
    for thread in threads:
        thread.join(60)
        report.expect(not thread.is_alive(), "somebody waits for ever")
    time.sleep(4)  # until the last is thawed
    pools = threaded.engine.pool, looped.engine.sync_engine.pool
    assert isinstance(pools[0], SizedPool)
    all_places_serve(pools[0], lambda: take_all(threaded.engine), report, "threads")
    all_places_serve(
        pools[1], lambda: asyncio.run(take_all_in_loop(looped.engine)), report, "loops"
    )


@click.command()
@click.option("--minutes", default=3.0, show_default=True)
@click.option("--seed", default=1, show_default=True)
def main(minutes: float, seed: int) -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    sys.unraisablehook = threading.excepthook = lambda *_: None
    report = Report()
    with temporary_server() as server:
        chaos(server, report, minutes=minutes, seed=seed)
    for what, number in report.counted.most_common():
        longest = f", the longest {report.longest[what]:.2f} s" if what in report.longest else ""
        print(f"{number:>8} x {what}{longest}")
    for what, number in report.broken.most_common(20):
        print(f"BROKEN  {number} x {what}")
    print(f"pool: {sum(report.broken.values())} promises broken")
    os._exit(bool(report.broken))


main()
