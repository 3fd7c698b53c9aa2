"""Two releases of the marketplace on one database: old alone, expand, both, finish or revert, also with kills.

`./dev prove releases [--quick] [--major 16]`: two processes of the shop, the package as it is and a copy whose entities
have changed: a column and a table are renamed, a column and a table dropped, a type changed. Each answers 100 requests
a second over HTTP, from its own pool with prepared statements; every write is compared with a log. Exit status 1 when a
request failed, a row is lost or wrong, or finish did not refuse a planted client of the old release. The longest waits
are printed beside those before anything began.
"""

import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import click
import psycopg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import NullPool, create_engine, make_url
from sqlalchemy.orm import Session

sys.path.insert(0, str(Path(__file__).parents[1] / "packages" / "holdfast" / "tests" / "kit"))
sys.path.insert(0, str(Path(__file__).parent / "releases"))

from alembic_project import Project
from second_release import REVISION, second_release
from shop import STOCK, VARIANTS, Release, variant

from holdfast.errors.finish import StillInUse
from holdfast.migrate.finish import finish
from holdfast.migrate.run import downgrade, upgrade
from holdfast.scratch.databases import Postgres, postgres_at
from holdfast.scratch.dump import schema_dump
from holdfast.scratch.server import temporary_server
from marketplace.demo_data import load_demo_data

VENDORS = 20_000
STOCK_NOW = """
    SELECT sum(stock) FROM variant_stock WHERE variant_id IN (SELECT id FROM variants WHERE sku LIKE 'sku-%')
"""
COURSES = (("finish", 0), ("revert", 0), ("finish", 3), ("revert", 3))


def stocked(url: str) -> None:
    """The demo shop, and rows enough for a change to take its time."""
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), poolclass=NullPool)
    with Session(engine) as session:
        load_demo_data(session)
    product = "(SELECT id FROM products ORDER BY id LIMIT 1)"
    ids = [variant(number) for number in range(VARIANTS)]
    with psycopg.connect(url) as connection:
        connection.execute(
            "INSERT INTO vendors (id, name, version) SELECT gen_random_uuid(), 'v' || n, 1"
            f" FROM generate_series(1, {VENDORS}) AS n".encode()
        )
        connection.execute(
            "INSERT INTO variants (id, product_id, sku, name, price, currency)"
            f" SELECT id, {product}, 'sku-' || n, 'one', 100, 'EUR'"
            " FROM unnest(%s::uuid[]) WITH ORDINALITY AS made (id, n)".encode(),
            (ids,),
        )
        connection.execute(
            f"INSERT INTO variant_stock SELECT id, {STOCK} FROM unnest(%s::uuid[]) AS made (id)".encode(),
            (ids,),
        )


# What a process of its own does, which may be killed.


def expand(config: Path) -> None:
    upgrade(Config(config), "head", expand=True)


def let_go(config: Path) -> None:
    """Writes of the old release, which has ended, are seen once."""
    for _ in range(3):
        try:
            finish(Config(config))
        except StillInUse as error:
            if any("session" in sign for sign in error.signs):
                raise
        else:
            return


def take_back(config: Path) -> None:
    """Not `-1`: who was killed behind the end would take back one more."""
    script = ScriptDirectory.from_config(Config(config))
    downgrade(Config(config), str(script.get_revision(REVISION).down_revision))


def does(work: Callable[[Path], None], made: Project, *, kills: int) -> None:
    """In a process of its own that is killed at any moment, so many times; then to its end."""
    context = multiprocessing.get_context("spawn")
    for number in range(kills + 1):
        process = context.Process(target=work, args=(made.place,))
        process.start()
        if number < kills:
            process.join(1.2 + random.random() * 2)  # it imports for about a second
            if process.is_alive():
                process.kill()
                process.join()
                print("          killed", flush=True)
        process.join()
    if process.exitcode != 0:
        raise SystemExit(f"{work.__name__} ended with {process.exitcode}")


# One time through.


@dataclass(kw_only=True)
class Course:
    """A database, the two releases on it, and what was wrong so far."""

    made: Project
    old: Release
    new: Release
    ends: str
    kills: int
    seconds: float
    wrong: list[str] = field(default_factory=list)

    def run(self) -> None:
        with ExitStack() as old:
            old.enter_context(self.old.serving())
            old.enter_context(self.old.used())
            self._pass("old alone", self.seconds / 4)
            does(expand, self.made, kills=self.kills)
            self._pass("expand", 0)
            if self.ends == "finish":
                self._both_and_finish(old)
            else:
                with self.new.serving(), self.new.used():
                    self._pass("both", self.seconds)
                does(take_back, self.made, kills=self.kills)
                self._pass("revert", 0)
                self._pass("old alone", self.seconds / 4)
        self.wrong += [*self.old.failed, *self.new.failed, *self.compared()]

    def _both_and_finish(self, old: ExitStack) -> None:
        with self.new.serving(), self.new.used():
            self._pass("both", self.seconds)
            self._refuses("clients of the old release")
            old.close()
            name = "shop release=1"
            with psycopg.connect(self.made.database, application_name=name):
                self._refuses("a session of the old release")
            self._pass("refused", 0)
            does(let_go, self.made, kills=self.kills)
            self._pass("finish", 0)
            self._pass("new alone", self.seconds / 4)

    def _pass(self, what: str, seconds: float) -> None:
        time.sleep(seconds)
        waits = [f"{each.quiet():.0f}" for each in (self.old, self.new) if each.requests]
        print(f"          {what}: longest wait {', '.join(waits)} ms", flush=True)

    def _refuses(self, what: str) -> None:
        try:
            finish(self.made.config, yes=True)
        except StillInUse as error:
            if any("release=1" in sign for sign in error.signs):
                return
        self.wrong.append(f"finish did not refuse {what}")

    def compared(self) -> Iterator[str]:
        """What is in the database, beside what both releases were told."""
        is_new = self.ends == "finish"
        column, table = ("title", "departments") if is_new else ("name", "categories")
        with psycopg.connect(self.made.database) as connection:
            found = {
                "vendors": dict(_rows(connection, f"SELECT id::text, {column} FROM vendors")),
                "categories": dict(_rows(connection, f"SELECT id::text, name FROM {table}")),
            }
            orders = {id_ for (id_,) in _rows(connection, "SELECT id::text FROM orders")}
            stock = _rows(connection, STOCK_NOW)
            adjustments = _rows(connection, "SELECT count(*) FROM stock_adjustments")
            waits = _rows(connection, "SELECT count(*) FROM holdfast.waiting")
            notes = () if is_new else _rows(connection, "SELECT note FROM stock_adjustments")
        both = (self.old, self.new)
        for each in both:
            logs = {"vendors": each.log.vendors, "categories": each.log.categories}
            for what, log in logs.items():
                lost = [key for key, value in log.items() if found[what].get(key) != value]
                if lost:
                    yield f"{len(lost)} {what} of release {each.number} are lost or wrong"
            if lost := set(each.log.orders) - orders:
                yield f"{len(lost)} orders of release {each.number} are lost"
        if lost := {(note,) for note in self.old.log.notes} - set(notes) and not is_new:
            yield f"notes of release 1 are lost: {lost}"
        written = sum(each.log.adjusted - each.log.ordered for each in both)
        if stock != [(VARIANTS * STOCK + written,)]:
            yield f"the stock is {stock}, and should be {VARIANTS * STOCK + written}"
        if adjustments != [(sum(each.log.adjustments for each in both),)]:
            yield f"{adjustments} adjustments of the stock are not those that were written"
        if waits != [(0,)]:
            yield f"{waits} things still wait"


def _rows(connection: psycopg.Connection, query: str) -> list[tuple[object, ...]]:
    return connection.execute(query.encode()).fetchall()


def project(folder: Path, url: str, *, versions: Path) -> Project:
    """The history of the second release, whose first part is that of the first."""
    made = Project(folder=folder, database=url)
    for file in versions.glob("*.py"):
        shutil.copy(file, made.folder / "versions" / file.name)
    return made


def course(postgres: Postgres, folder: Path, *, seconds: float, ends: str, kills: int) -> Course:
    """Prepared and run. `folder` has the second release."""
    versions = folder / "marketplace" / "migrations" / "versions"
    with postgres.database() as url, tempfile.TemporaryDirectory() as name:
        made = project(Path(name) / "project", url, versions=versions)
        upgrade(made.config, f"{REVISION}-1")
        stocked(url)
        before = schema_dump(url)
        old = Release(number=1, url=url, settings={"MARKETPLACE_RATE_STORAGE": "database"})
        new = Release(number=2, url=url, package=folder)
        run = Course(made=made, old=old, new=new, ends=ends, kills=kills, seconds=seconds)
        run.run()
        print(f"          {old.requests} and {new.requests} requests", flush=True)
        if ends == "revert":
            wanted = before
        else:
            with postgres.database() as plain:
                beside = project(Path(name) / "plain", plain, versions=versions)
                command.upgrade(beside.config, "head")
                wanted = schema_dump(plain)
        # A column whose type was changed stands last.
        if sorted(schema_dump(url).replace(",", "").splitlines()) != sorted(
            wanted.replace(",", "").splitlines()
        ):
            run.wrong.append(f"the schema after {ends} is not plain Alembic's")
    return run


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="Ten seconds with both instead of a minute.")
@click.option("--major", type=int, default=18)
def main(quick: bool, major: int) -> None:
    os.environ["HOLDFAST_RELEASE"] = "2"
    seconds, is_wrong = (10.0, False) if quick else (60.0, False)
    with temporary_server(major=major) as server, tempfile.TemporaryDirectory() as folder:
        second_release(Path(folder))
        postgres = postgres_at(server.url())
        for ends, kills in COURSES:
            print(f"{ends}{f', killed {kills} times on each way' if kills else ''}", flush=True)
            run = course(postgres, Path(folder), seconds=seconds, ends=ends, kills=kills)
            is_wrong = is_wrong or bool(run.wrong)
            for each in list(dict.fromkeys(run.wrong))[:20]:
                print(f"  WRONG   {each}")
            print("  " + ("holds" if not run.wrong else f"{len(run.wrong)} wrong"), flush=True)
    sys.exit(int(is_wrong))


if __name__ == "__main__":
    main()
