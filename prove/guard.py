"""No request waits for a migration that nobody can look into, whatever way it locks a table, whoever is in the way.

`./dev prove guard [NAMES]`. Each way x three blockers (none, a reader and a writer that are idle in their transaction)
under 200 reads a second, open loop. A line for each; status 1 when a request waited longer than 50 ms (70 where the
migration is idle) and the noise of the same traffic without a migration, when a run neither ended nor was refused, or
when something was applied twice. On a machine that does nothing else: whoever waits for a processor counts too.
"""

import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click
import psycopg

sys.path.insert(0, str(Path(__file__).parents[1] / "packages/holdfast/tests/kit"))
from alembic_project import Project

from holdfast.scratch.server import EmbeddedServer, temporary_server

SEED = """
    CREATE TABLE t (id int PRIMARY KEY, a int);
    INSERT INTO t SELECT n, n FROM generate_series(1, 20000) n;
    CREATE TABLE marks (n int);
    CREATE TABLE told (n int);
    CREATE TABLE child (n int);
    CREATE VIEW v AS SELECT id FROM t;
    CREATE VIEW w AS SELECT id FROM v;
    CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN ALTER TABLE t ADD COLUMN note text; END $$;
    CREATE FUNCTION g() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
      BEGIN PERFORM f(); EXCEPTION WHEN OTHERS THEN NULL; END; END $$;
    CREATE FUNCTION slow() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM f(); PERFORM pg_sleep(3); END $$;
    CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN PERFORM f(); END $$;
    CREATE PROCEDURE q() LANGUAGE plpgsql AS $$ BEGIN INSERT INTO marks VALUES (2); COMMIT; PERFORM f(); END $$;
    CREATE FUNCTION on_told() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM f(); RETURN NULL; END $$;
    CREATE TRIGGER on_told AFTER INSERT ON told EXECUTE FUNCTION on_told();
    CREATE FUNCTION on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
      IF EXISTS (SELECT FROM pg_class WHERE relname = 'event_now') THEN
        BEGIN LOCK TABLE t; EXCEPTION WHEN OTHERS THEN NULL; END; END IF; END $$;
    CREATE EVENT TRIGGER on_ddl ON ddl_command_end WHEN tag IN ('CREATE TABLE') EXECUTE FUNCTION on_ddl();
"""
ADD = "ALTER TABLE t ADD COLUMN note text;"
DO = "op.execute({!r})".format
PAUSE = "import time\nop.execute('LOCK TABLE t')\ntime.sleep(2)\nop.execute('SELECT f()')"
# The body of the revision's function, behind an INSERT that must be there once at most.
WAYS = {
    "DO": DO(f"DO $$ BEGIN {ADD} END $$"),
    "DO, WHEN OTHERS": DO(f"DO $$ BEGIN {ADD} EXCEPTION WHEN OTHERS THEN NULL; END $$"),
    "DO, EXECUTE": DO("DO $$ BEGIN EXECUTE 'ALTER TABLE t ADD COLUMN note text'; END $$"),
    "DO, long": DO(f"DO $$ BEGIN {ADD} PERFORM pg_sleep(3); END $$"),
    "DO, query_canceled": DO(
        f"DO $$ BEGIN {ADD} PERFORM pg_sleep(3); EXCEPTION WHEN query_canceled THEN NULL; END $$"
    ),
    "DO, LOCK TABLE": DO("DO $$ BEGIN LOCK TABLE t; PERFORM f(); END $$"),
    "DO, TRUNCATE": DO("DO $$ BEGIN TRUNCATE child; LOCK TABLE t; END $$"),
    "function": DO("SELECT f()"),
    "function, WHEN OTHERS": DO("SELECT g()"),
    "function, long": DO("SELECT slow()"),
    "function in a CTE": DO("WITH x AS (SELECT f()) SELECT count(*) FROM x"),
    "CALL": DO("CALL p()"),
    "CALL, COMMIT inside": f"with op.get_context().autocommit_block():\n    {DO('CALL q()')}",
    "LOCK TABLE": f"op.execute('LOCK TABLE t')\n{DO(ADD)}",
    "trigger": DO("INSERT INTO told VALUES (1)"),
    "event trigger": DO("CREATE TABLE event_now (id int)"),
    "view cascade": f"{DO('DROP VIEW v CASCADE')}\n{DO('CREATE VIEW v AS SELECT a FROM t')}",
    "savepoint": f"with op.get_bind().begin_nested():\n    {DO('SELECT f()')}",
    "Python sleeps": PAUSE,
    "stopped by SIGSTOP": PAUSE,
    "guard killed": DO(f"DO $$ BEGIN {ADD} PERFORM pg_sleep(1); END $$"),
}
IDLE = ("Python sleeps", "stopped by SIGSTOP")
BLOCKERS = {
    "nobody": "SELECT 1",
    "reader": "SELECT count(*) FROM t",
    "writer": "UPDATE t SET a = 0 WHERE id = 1",
}
UPGRADE = """
import sys
from datetime import timedelta
from alembic.config import Config
from holdfast import upgrade
from holdfast.errors import HoldfastError
try:
    upgrade(Config(sys.argv[1]), "head", lock_budget=timedelta(seconds=20))
except HoldfastError as error:
    print(type(error).__name__)
"""
KILL_GUARD = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE query LIKE '%$guard$%' AND state = 'active' AND pid <> pg_backend_pid()
"""
HELD = """
    SELECT 1 FROM pg_locks
    WHERE mode = 'AccessExclusiveLock' AND relation = 't'::regclass AND granted
"""
THREADS, EVERY = 4, 0.02  # s: 200 requests a second
BLOCKED_FOR = 1.5  # s
CEILING, MORE_IF_IDLE, LEAST_NOISE = 50.0, 20.0, 20.0  # ms


@dataclass(kw_only=True)
class Traffic:
    """Reads of one row each; the latency of each counts from when it was due."""

    url: str
    longest: float = 0.0  # ms
    ended: threading.Event = field(default_factory=threading.Event)

    def read(self) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            due = time.monotonic()
            while not self.ended.is_set():
                due += EVERY
                time.sleep(max(0.0, due - time.monotonic()))
                connection.execute("SELECT a FROM t WHERE id = 17")
                now = time.monotonic()
                self.longest = max(self.longest, (now - due) * 1000)
                due = max(due, now - EVERY)  # one wait is counted once


@contextmanager
def traffic(url: str) -> Iterator[Traffic]:
    users = Traffic(url=url)
    threads = [threading.Thread(target=users.read, daemon=True) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    try:
        yield users
    finally:
        users.ended.set()
        for thread in threads:
            thread.join()


@contextmanager
def blocked(url: str, statement: str) -> Iterator[None]:
    """Somebody is idle in a transaction for a while."""
    connection = psycopg.connect(url)
    connection.execute(statement)
    timer = threading.Timer(BLOCKED_FOR, connection.rollback)
    timer.start()
    try:
        yield
    finally:
        timer.join()
        connection.close()


def tried(server: EmbeddedServer, name: str, statement: str, *, noise: float) -> str:
    """What came of it. Raises AssertionError where a promise was not kept."""
    with tempfile.TemporaryDirectory() as place:
        database = f"d{time.monotonic_ns()}"
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {database}")
        project = Project(folder=Path(place) / "project", database=server.url(database))
        project.revision(f"op.execute({SEED!r})")
        subprocess.run([sys.executable, "-c", UPGRADE, project.folder / "alembic.ini"], check=True)
        project.revision(f"op.execute('INSERT INTO marks VALUES (1)')\n{WAYS[name]}")
        command = [sys.executable, "-c", UPGRADE, project.folder / "alembic.ini"]
        with traffic(project.database) as users, blocked(project.database, statement):
            run = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            if name == "guard killed":
                interfere(lambda: bool(project.query(KILL_GUARD)))
            if name == "stopped by SIGSTOP":
                interfere(lambda: bool(project.query(HELD)))
                run.send_signal(signal.SIGSTOP)
                time.sleep(1)
                run.send_signal(signal.SIGCONT)
            said, problem = run.communicate(timeout=120)
        assert run.returncode == 0, problem
        limit = CEILING + (MORE_IF_IDLE if name in IDLE else 0) + noise
        assert users.longest <= limit, f"a request took {users.longest:.0f} ms, not {limit:.0f}"
        marks = project.query("SELECT n, count(*) FROM marks GROUP BY n HAVING count(*) > 1")
        assert marks == [], "something was applied twice"
        [(at,)] = project.query("SELECT version_num FROM alembic_version")
        assert (at == "r2") == (said == ""), f"at {at}, and it said {said}"
        return f"{said.strip() or 'applied'}, longest request {users.longest:.0f} ms"


def interfere(is_done: Callable[[], bool]) -> None:
    limit = time.monotonic() + 20
    while not is_done():
        if time.monotonic() > limit:
            return  # it was refused before
        time.sleep(0.005)


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(WAYS)))
def main(names: tuple[str, ...]) -> None:
    failed = False
    with temporary_server() as server:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute("CREATE TABLE t AS SELECT 17 AS id, 1 AS a")
        with traffic(server.url()) as users:
            time.sleep(5)
        noise = max(LEAST_NOISE, users.longest)
        print(
            f"noise: the longest request without a migration took {users.longest:.0f} ms",
            flush=True,
        )
        for name in names or WAYS:
            for blocker, statement in BLOCKERS.items():
                try:
                    said = tried(server, name, statement, noise=noise)
                except (AssertionError, subprocess.TimeoutExpired) as error:
                    failed = True
                    print(f"FAILED  {name} / {blocker}: {error}", flush=True)
                else:
                    print(f"ok      {name} / {blocker}: {said}", flush=True)
    sys.exit(failed)


main()
