"""Two releases on the marketplace's schema: old alone, expand, both, finish (or revert, or with kills), new alone.

`./dev prove releases [--quick] [--major 16]`: the second release renames a column and a table, drops a column and a
table, changes a type. Each release sends 100 requests a second; every write is compared with a log. Exit status 1 when
a request failed, a row is lost or wrong, or finish did not refuse a planted client of the old release.
"""

import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

import click
import psycopg
from alembic.config import Config
from alembic.script import ScriptDirectory

sys.path.insert(0, str(Path(__file__).parents[1] / "packages" / "holdfast" / "tests" / "kit"))

from alembic_project import Project

from holdfast.errors.migration import StillInUse
from holdfast.migrate.finish import finish
from holdfast.migrate.run import downgrade, upgrade
from holdfast.scratch.databases import Postgres, postgres_at
from holdfast.scratch.server import temporary_server

ROOT = Path(__file__).parents[1]
MIGRATIONS = ROOT / "packages" / "marketplace" / "src" / "marketplace" / "migrations" / "versions"
RATE = 100  # requests a second, of each release
ROWS = 20_000

BEFORE = (
    "ALTER TABLE vendors ADD COLUMN motto text NOT NULL DEFAULT 'none'",
    "ALTER TABLE vendors ALTER COLUMN motto DROP DEFAULT",
    "ALTER TABLE vendors ADD COLUMN score integer NOT NULL DEFAULT 0",
    "CREATE TABLE vendor_notes (id uuid PRIMARY KEY, vendor_id uuid NOT NULL REFERENCES vendors, note text)",
    (
        "INSERT INTO vendors (id, name, motto) SELECT gen_random_uuid(), 'v' || n, 'm'"
        f" FROM generate_series(1, {ROWS}) AS n"
    ),
)
CHANGE = (
    "ALTER TABLE vendors RENAME COLUMN name TO title",
    "ALTER TABLE categories RENAME TO departments",
    "ALTER TABLE vendors DROP COLUMN motto",
    "DROP TABLE vendor_notes",
    "ALTER TABLE vendors ALTER COLUMN score TYPE bigint",
)
BACK = (
    "ALTER TABLE vendors ALTER COLUMN score TYPE integer",
    "CREATE TABLE vendor_notes (id uuid PRIMARY KEY, vendor_id uuid NOT NULL REFERENCES vendors, note text)",
    "ALTER TABLE vendors ADD COLUMN motto text NOT NULL DEFAULT 'none'",
    "ALTER TABLE departments RENAME TO categories",
    "ALTER TABLE vendors RENAME COLUMN title TO name",
)
# What a release sends, by the names that it knows: %s are the key and the value.
OLD = {
    "vendor": "INSERT INTO vendors (id, name, motto) VALUES (%s, %s, 'm')"
    " ON CONFLICT (id) DO UPDATE SET name = excluded.name",
    "category": "INSERT INTO categories (id, name) VALUES (%s, %s) ON CONFLICT (id) DO UPDATE SET name = excluded.name",
    "score": "UPDATE vendors SET score = score + 1 WHERE name = %s",
    "note": "INSERT INTO vendor_notes (id, vendor_id, note)"
    " SELECT gen_random_uuid(), id, 'n' FROM vendors WHERE name = %s",
    "read": "SELECT v.name, v.motto, v.score FROM vendors v WHERE v.name = %s",
}
NEW = {
    "vendor": "INSERT INTO vendors (id, title) VALUES (%s, %s) ON CONFLICT (id) DO UPDATE SET title = excluded.title",
    "category": "INSERT INTO departments (id, name) VALUES (%s, %s)"
    " ON CONFLICT (id) DO UPDATE SET name = excluded.name",
    "score": "UPDATE vendors SET score = score + 1 WHERE title = %s",
    "read": "SELECT v.title, v.score FROM vendors v WHERE v.title = %s",
}


@dataclass(kw_only=True)
class Release:
    """One release: what it sends, what it has written, how long it waited at most."""

    number: int
    url: str
    sends: dict[str, str]
    vendors: dict[uuid.UUID, str] = field(default_factory=dict)
    categories: dict[uuid.UUID, str] = field(default_factory=dict)
    scores: int = 0
    requests: int = 0
    longest: float = 0.0
    failed: list[str] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[None]:
        ended = Event()
        threads = [Thread(target=self._work, args=(ended, n)) for n in range(4)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            ended.set()
            for thread in threads:
                thread.join()

    def _work(self, ended: Event, seed: int) -> None:
        random_ = random.Random(seed + 10 * self.number)
        own: dict[str, list[uuid.UUID]] = {"vendor": [], "category": []}  # nobody else writes these
        name = f"shop release={self.number}"
        # The type change makes prepared statements fail once; holdfast's pool forgets them, this is plain psycopg.
        with psycopg.connect(
            self.url, autocommit=True, application_name=name, prepare_threshold=None
        ) as connection:
            while not ended.wait(4 / RATE):
                kind = random_.choice(list(self.sends))
                began = time.monotonic()
                try:
                    self._send(connection, kind, random_, own)
                except psycopg.Error as error:
                    self.failed.append(f"{kind}: {error.sqlstate} {error}".splitlines()[0])
                self.longest = max(self.longest, time.monotonic() - began)
                self.requests += 1

    def _send(
        self,
        connection: psycopg.Connection,
        kind: str,
        random_: random.Random,
        own: dict[str, list[uuid.UUID]],
    ) -> None:
        text = self.sends[kind].encode()
        if kind in ("vendor", "category"):
            log = self.vendors if kind == "vendor" else self.categories
            known = own[kind]
            key = random_.choice(known) if known and random_.random() < 0.5 else uuid.uuid4()
            value = f"{self.number} {uuid.uuid4()}"
            connection.execute(text, (key, value))
            if key not in log:
                known.append(key)
            log[key] = value
            return
        found = connection.execute(text, (f"v{random_.randint(1, ROWS)}",))
        if kind == "score":
            self.scores += found.rowcount

    def quiet(self) -> float:
        """The longest wait since the last time, in milliseconds."""
        longest, self.longest = self.longest, 0.0
        return longest * 1000


def project(folder: Path, url: str) -> Project:
    made = Project(folder=folder, database=url)
    for file in MIGRATIONS.glob("*.py"):
        shutil.copy(file, made.folder / "versions" / file.name)
    [head] = ScriptDirectory.from_config(made.config).get_heads()
    made.revisions.append(head)
    made.revision("\n".join(f"op.execute({each!r})" for each in BEFORE), name="before_releases")
    made.revision(
        "\n".join(f"op.execute({each!r})" for each in CHANGE),
        "\n".join(f"op.execute({each!r})" for each in BACK),
        name="second_release",
    )
    return made


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
    downgrade(Config(config), "before_releases")


def does(work: Callable[[Path], None], made: Project, *, kills: int) -> None:
    """In a process of its own that is killed at any moment, so many times; then to its end."""
    context = multiprocessing.get_context("spawn")
    for number in range(kills + 1):
        process = context.Process(target=work, args=(made.folder / "alembic.ini",))
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


def case(postgres: Postgres, *, seconds: float, ends: str, kills: int) -> list[str]:
    """One time through; gives what is wrong."""
    with postgres.database() as url, tempfile.TemporaryDirectory() as folder:
        made = project(Path(folder) / "project", url)
        upgrade(made.config, "before_releases")
        old = Release(number=1, url=url, sends=OLD)
        new = Release(number=2, url=url, sends=NEW)
        wrong: list[str] = []
        with old.running():
            time.sleep(seconds / 4)
            print(f"          old alone: longest wait {old.quiet():.0f} ms", flush=True)
            does(expand, made, kills=kills)
            print(f"          expand: longest wait {old.quiet():.0f} ms", flush=True)
            with new.running():
                time.sleep(seconds)
                print(
                    f"          both: longest wait {old.quiet():.0f}, {new.quiet():.0f} ms",
                    flush=True,
                )
                if ends == "finish":
                    wrong += refuses(made)
            if ends == "revert":
                does(take_back, made, kills=kills)
                print(f"          revert: longest wait {old.quiet():.0f} ms", flush=True)
        if ends == "finish":
            with new.running():
                time.sleep(0.5)
                does(let_go, made, kills=kills)
                print(f"          finish: longest wait {new.quiet():.0f} ms", flush=True)
                time.sleep(seconds / 4)
        print(f"          {old.requests} and {new.requests} requests", flush=True)
        return [*wrong, *old.failed, *new.failed, *compared(url, old, new, ends=ends)]


def refuses(made: Project) -> list[str]:
    """With clients of the old release connected."""
    try:
        finish(made.config, yes=True)
    except StillInUse as error:
        if any("release=1" in sign for sign in error.signs):
            return []
    return ["finish did not refuse clients of the old release"]


def compared(url: str, old: Release, new: Release, *, ends: str) -> Iterator[str]:
    column, table = ("title", "departments") if ends == "finish" else ("name", "categories")
    with psycopg.connect(url) as connection:
        vendors = dict(connection.execute(f"SELECT id, {column} FROM vendors".encode()).fetchall())
        categories = dict(connection.execute(f"SELECT id, name FROM {table}".encode()).fetchall())
        [scores] = connection.execute("SELECT sum(score) FROM vendors").fetchone() or [0]
        waits = connection.execute("SELECT count(*) FROM holdfast.waiting").fetchone()
    for release in (old, new):
        for log, found in ((release.vendors, vendors), (release.categories, categories)):
            lost = [key for key, value in log.items() if found.get(key) != value]
            if lost:
                yield f"{len(lost)} rows of release {release.number} are lost or wrong"
    if scores != old.scores + new.scores:
        yield f"the sum of scores is {scores}, written were {old.scores + new.scores}"
    if waits != (0,):
        yield f"{waits} things still wait"


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="Ten seconds with both instead of a minute.")
@click.option("--major", type=int, default=18)
def main(quick: bool, major: int) -> None:
    os.environ["HOLDFAST_RELEASE"] = "2"
    seconds, is_wrong = (10.0, False) if quick else (60.0, False)
    with temporary_server(major=major) as server:
        postgres = postgres_at(server.url())
        for ends, kills in (("finish", 0), ("revert", 0), ("finish", 3), ("revert", 3)):
            print(f"{ends}{f', killed {kills} times on each way' if kills else ''}", flush=True)
            wrong = case(postgres, seconds=seconds, ends=ends, kills=kills)
            is_wrong = is_wrong or bool(wrong)
            for each in dict.fromkeys(wrong):
                print(f"  WRONG   {each}")
            print("  " + ("holds" if not wrong else f"{len(wrong)} wrong"), flush=True)
    sys.exit(int(is_wrong))


if __name__ == "__main__":
    main()
