"""A migrator whose connections or process are ended, wherever it is, and a second one that starts at once.

`./dev prove kills [--quick]`. The revision changes a column's type and adds 1 to each of 200,000 rows (20,000 with
`--quick`). Ended in front of the swap of the type change and of each of some batches: the connection that holds the
migration lock, the one that works, both, the process itself (SIGKILL). Then, one after the other, the backend is ended
in front of the first, the eighth, ... statement of the run. A line for each; status 1 where a row was written twice or
not, where the revision was not applied exactly once, or where an error was not one of holdfast's.
"""

import itertools
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
import psycopg

sys.path.insert(0, str(Path(__file__).parents[1] / "packages/holdfast/tests/kit"))
from alembic_project import Project
from backends import terminate, wait_until
from contract import Process
from met_statement import KilledAt, meeting

from holdfast.errors import HoldfastError
from holdfast.migrate.run import upgrade
from holdfast.observe.schema_constants import KEY
from holdfast.scratch.server import EmbeddedServer, temporary_server

ROWS, QUICK_ROWS = 200_000, 20_000
SEED = """
    CREATE TABLE acc (id bigint PRIMARY KEY, bal int);
    INSERT INTO acc SELECT n, 0 FROM generate_series(1, {rows}) n;
    CREATE TABLE big (id bigint PRIMARY KEY, v int);
    INSERT INTO big SELECT n, n FROM generate_series(1, 400) n;
"""
BODY = """
op.alter_column("big", "v", type_=sa.BigInteger())
op.execute("UPDATE acc SET bal = bal + 1")
"""
SWAP, BATCH = "'HF001'", "UPDATE .*acc"
ENDS = ("lock", "work", "lock and work", "process")
HOLDER = f"""
    SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
       AND (classid::bigint << 32) + objid::bigint = {KEY}
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
EVERY = 7  # statements


class Databases:
    """One project, on a new database of the same contents each time."""

    def __init__(self, server: EmbeddedServer, place: Path, *, rows: int) -> None:
        self.server, self.rows = server, rows
        self._execute("CREATE DATABASE d")
        self.project = Project(folder=place / "project", database=server.url("d"))
        self.project.revision(f"op.execute({SEED.format(rows=rows)!r})")
        upgrade(self.project.config, "head")
        self.project.revision(BODY)
        self._execute("ALTER DATABASE d RENAME TO template_d")

    def new(self) -> Project:
        self._execute("DROP DATABASE IF EXISTS d WITH (FORCE)")
        self._execute("CREATE DATABASE d TEMPLATE template_d STRATEGY file_copy")
        return self.project

    def _execute(self, sql: str) -> None:
        with psycopg.connect(self.server.url(), autocommit=True) as connection:
            connection.execute(sql.encode())

    def judge(self) -> None:
        """Raises AssertionError where something is there twice, or not at all."""
        rows = self.project.query("SELECT bal, count(*) FROM acc GROUP BY bal")
        assert rows == [(1, self.rows)], f"rows by balance: {rows}"
        applied = self.project.query(
            "SELECT count(*) FROM holdfast.history WHERE revision = 'r2' AND outcome = 'done'"
        )
        assert applied == [(1,)], f"applied: {applied}"
        kind = self.project.query("SELECT pg_typeof(v)::text FROM big LIMIT 1")
        assert kind == [("bigint",)], f"type: {kind}"


def attempted(work: Callable[[], None]) -> str:
    """What it said. Raises what is no error of holdfast's."""
    try:
        work()
    except HoldfastError as error:
        return type(error).__name__
    return "went on"


def disturbed(databases: Databases, ends: str, pattern: str, number: int) -> str:
    project = databases.new()
    seconds: list[Process] = []

    def disturb(pid: int) -> None:
        [(holder,)] = project.query(HOLDER)
        if "lock" in ends:
            terminate(project.database, int(str(holder)))
        if "work" in ends:
            terminate(project.database, pid)
        seconds.append(Process(project))
        if "lock" in ends:
            wait_until(lambda: bool(project.query(HOLDER)), what="the second to be elected")

    if ends == "process":
        first = Process(project, KilledAt(pattern=pattern, number=number))
        first.process.join()
        seconds.append(Process(project))
        said = "killed" if first.process.exitcode == -9 else "was over before"
    else:
        with meeting(pattern, disturb, number=number) as met:
            said = attempted(partial(upgrade, project.config, "head"))
        assert met.at is not None, "the run was over before"
    for second in seconds:
        second.end()
    databases.judge()
    return said


def ended_at_each(databases: Databases) -> str:
    said: set[str] = set()
    for number in itertools.count(1, EVERY):
        project = databases.new()
        with meeting("", partial(terminate, project.database), number=number) as met:
            said.add(attempted(partial(upgrade, project.config, "head")))
        if met.at is None:
            return f"{number // EVERY} statements, every {EVERY}th: {', '.join(sorted(said))}"
        upgrade(project.config, "head")
        databases.judge()
    raise AssertionError


@click.command()
@click.option("--quick", is_flag=True, help="20,000 rows instead of 200,000.")
def main(*, quick: bool) -> None:
    rows = QUICK_ROWS if quick else ROWS
    places = [("swap", SWAP, 1)] + [
        (f"batch {n}", BATCH, n) for n in ((2,) if quick else (1, 2, 9))
    ]
    cases: dict[str, Callable[[Databases], str]] = {
        f"{place}: {ends} ended": partial(disturbed, ends=ends, pattern=pattern, number=number)
        for place, pattern, number in places
        for ends in ENDS
    }
    failed = []
    with temporary_server() as server, tempfile.TemporaryDirectory() as folder:
        databases = Databases(server, Path(folder), rows=rows)
        for name, case in {**cases, "wherever it is: backend ended": ended_at_each}.items():
            try:
                print(f"ok      {name}: {case(databases)}", flush=True)
            except Exception as error:  # noqa: BLE001  # told, and the next case is tried
                failed.append(name)
                print(f"FAILED  {name}: {type(error).__name__}: {error}", flush=True)
    print(f"kills: {len(cases) + 1 - len(failed)} of {len(cases) + 1} held, {rows:,} rows.")
    sys.exit(bool(failed))


if __name__ == "__main__":  # the processes of the second migrators read this file too
    main()
