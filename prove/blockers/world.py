"""The table in use, its traffic, and runs of holdfast beside it that are judged."""

import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from alembic import command
from alembic_project import Project
from live.database import Database
from live.traffic import Pgbench, Request

from holdfast.scratch.databases import Postgres, postgres_at
from holdfast.scratch.server import temporary_server

SETTINGS = {
    "autovacuum": "on",
    "autovacuum_naptime": "1s",
    "max_prepared_transactions": "5",
    "max_wal_size": "1GB",
}
SEED = """
    CREATE TABLE u (id integer PRIMARY KEY, n integer NOT NULL DEFAULT 0);
    INSERT INTO u SELECT generate_series(1, 1000);
    CREATE TABLE t (id integer PRIMARY KEY, u integer, b text);
    INSERT INTO t SELECT i, 1 + i % 1000, repeat('x', 100) FROM generate_series(1, 100000) AS i;
    CREATE TABLE elsewhere (id integer);
    ALTER TABLE t SET (autovacuum_enabled = off);
"""
# Two tables in one transaction, in both orders: where a migration locks both, somebody may be a deadlock's victim.
REQUESTS = {
    "read": "\\set id random(10, 100000)\nSELECT b, n FROM t JOIN u ON u.id = t.u WHERE t.id = :id;\n",
    "write": (
        "\\set id random(10, 100000)\nBEGIN;\nUPDATE t SET b = 'y' WHERE id = :id;\n"
        "SELECT n FROM u WHERE id = 1 + :id % 1000;\nEND;\n"
    ),
    "other order": (
        "\\set id random(10, 1000)\nBEGIN;\nUPDATE u SET n = n + 1 WHERE id = :id;\n"
        "SELECT b FROM t WHERE id = :id;\nEND;\n"
    ),
}
CHANGE = """
op.add_column("t", sa.Column("c", sa.Integer, server_default="7"))
op.create_index("t_b", "t", ["u", "b"])
op.create_foreign_key("t_u", "t", "u", ["u"], ["id"])
op.alter_column("t", "u", nullable=False)
"""
INDEX_ONLY = 'op.create_index("t_b", "t", ["u", "b"])'
IS_DONE = """
    SELECT (SELECT version_num FROM alembic_version) = 'r2'
       AND (SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('t_b'))
       AND NOT EXISTS (SELECT FROM pg_constraint WHERE NOT convalidated)
       AND NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory')
"""
HAS_UNFINISHED = "SELECT EXISTS (SELECT FROM holdfast.unfinished)"
RATE, CLIENTS = 100, 10
BEFORE = 3  # s of traffic alone
CEILING = 50.0  # ms: `max_stall`
LEAST_NOISE = 50.0  # ms: a few seconds do not meet everything that may come between
LONG_ENOUGH = 120  # s for any wait in here
# Runs an upgrade with a budget in seconds, which the command line does not offer.
UPGRADE = """
import sys
from datetime import timedelta
from alembic.config import Config
from holdfast import upgrade
from holdfast.cli.report import Printer
from holdfast.errors import HoldfastError
try:
    upgrade(Config(sys.argv[1]), "head", report=Printer(),
                    lock_budget=timedelta(seconds=float(sys.argv[2])))
except HoldfastError as error:
    sys.exit(str(error))
"""


class Failed(Exception):
    """A promise that was not kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A run: whether it succeeded, and what it said."""

    is_done: bool
    said: str

    def require(self, pattern: str) -> None:
        if not re.search(pattern, self.said):
            raise Failed(f"nothing like {pattern!r} in:\n{self.said}")


@dataclass(kw_only=True)
class World:
    """The server, and how long a request takes there without a migration."""

    postgres: Postgres
    template: str
    noise: float = 0.0

    @contextmanager
    def shop(self, *, change: str = CHANGE, is_judged: bool = True) -> Iterator["Shop"]:
        """A fresh copy under traffic; judged at the end of the block."""
        with (
            self.postgres.database(template=self.template) as url,
            tempfile.TemporaryDirectory() as place,
        ):
            project = Project(folder=Path(place) / "project", database=url)
            project.revision("pass")
            project.revision(change)
            command.stamp(project.config, "r1")
            with psycopg.connect(url, autocommit=True) as connection:
                traffic = start_traffic(url, Path(place))
                try:
                    time.sleep(BEFORE)
                    shop = Shop(url=url, project=project, admin=connection)
                    yield shop
                    time.sleep(1)
                    traffic.stop()
                finally:
                    traffic.kill()
                shop.requests = traffic.requests()
        if not is_judged:
            return
        longest = shop.longest
        limit = CEILING + max(LEAST_NOISE, 2 * self.noise, 2 * shop.noise)
        if self.noise and longest > limit:
            raise Failed(f"a request waited {longest:.0f} ms, allowed are {limit:.0f}")
        if lost := sum(request.latency is None for request in shop.requests):
            raise Failed(f"{lost} requests failed")


@dataclass(kw_only=True)
class Shop:
    """One database in use, and the project that changes it."""

    url: str
    project: Project
    admin: psycopg.Connection
    requests: list[Request] = field(default_factory=list)
    began: float = field(default_factory=time.time)  # what is older was there without a migration

    @property
    def noise(self) -> float:
        """In ms."""
        before = (request for request in self.requests if request.due < self.began)
        return max(((request.latency or 0) * 1000 for request in before), default=0.0)

    @property
    def longest(self) -> float:
        """In ms."""
        return max((request.latency or 0) * 1000 for request in self.requests)

    def start(self, *, budget: float) -> "Run":
        return Run(self.project, budget=budget)

    def run(self, *, budget: float = LONG_ENOUGH) -> Ended:
        return self.start(budget=budget).end()

    def finish(self) -> None:
        """The blocker is gone: one more run, and everything is there."""
        ended = self.run()
        if not ended.is_done:
            raise Failed(f"the run after it did not end well:\n{ended.said}")
        self.require_done()

    def require_done(self) -> None:
        if self.admin.execute(IS_DONE).fetchone() != (True,) or self._has_unfinished():
            raise Failed("something of the revision is missing, or left behind")

    def _has_unfinished(self) -> bool:
        """Whether something is half-way; where no run of holdfast had anything to do, it has no tables."""
        if self.admin.execute("SELECT to_regclass('holdfast.unfinished')").fetchone() == (None,):
            return False
        return self.admin.execute(HAS_UNFINISHED).fetchone() == (True,)

    def wait_until(self, query: str, *, what: str) -> None:
        """The query gives true in its first column."""
        limit = time.monotonic() + LONG_ENOUGH
        while (self.admin.execute(query).fetchone() or (False,))[0] is not True:
            if time.monotonic() > limit:
                raise Failed(f"waited {LONG_ENOUGH} s for {what}")
            time.sleep(0.05)


class Run:
    """An upgrade in a process of its own."""

    def __init__(self, project: Project, *, budget: float) -> None:
        ini = str(project.folder / "alembic.ini")
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, "-c", UPGRADE, ini, str(budget)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self._process.stderr or ():
            self.lines.append(line)

    def wait_for(self, pattern: str) -> None:
        """Until it says something like this."""
        limit = time.monotonic() + LONG_ENOUGH
        while not re.search(pattern, "".join(self.lines)):
            if time.monotonic() > limit or self._process.poll() is not None:
                self._process.kill()
                raise Failed(f"nothing like {pattern!r} in:\n{''.join(self.lines)}")
            time.sleep(0.05)

    def end(self) -> Ended:
        try:
            status = self._process.wait(LONG_ENOUGH)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise Failed(f"no end after {LONG_ENOUGH} s:\n{''.join(self.lines)}") from None
        self._reader.join()
        return Ended(is_done=status == 0, said="".join(self.lines))


def start_traffic(url: str, folder: Path) -> Pgbench:
    files = []
    for name, text in REQUESTS.items():
        file = folder / f"{name.replace(' ', '_')}.sql"
        file.write_text(text)
        files.append(f"--file={file}")
    arguments = [f"--rate={RATE}", f"--client={CLIENTS}", "--failures-detailed", *files]
    return Pgbench(Database(url=url), name="users", folder=folder, arguments=arguments)


@contextmanager
def world() -> Iterator[World]:
    with temporary_server(settings=SETTINGS) as server:
        postgres = postgres_at(server.url())

        def build(url: str) -> None:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(SEED)
                connection.execute("VACUUM ANALYZE")

        around = World(postgres=postgres, template=postgres.template("blockers", build))
        with around.shop() as shop:
            time.sleep(8)
        around.noise = shop.longest
        yield around
