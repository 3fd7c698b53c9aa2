"""The contract of rewrites on one example folder: its history, what is observed of a run, and how it is killed.

A trigger on holdfast.queue runs in the migration's own backend at each entry of the journal, inside the step's
transaction: there it writes down the locks that are held, and there it can stop the run for good.
"""

import multiprocessing
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event as Signal
from threading import Thread
from typing import Protocol

import psycopg
from alembic.config import Config
from alembic_project import Project
from psycopg import sql
from script_project import ScriptProject, config_at

from holdfast.execute.progress import Event, Report, StatementPlanned, StepStarted
from holdfast.migrate.run import downgrade, upgrade
from holdfast.rewrite.locks import LockMode
from holdfast.rewrite.statement import parse
from holdfast.scratch.databases import Postgres

EXAMPLES = sorted(
    path
    for path in (Path(__file__).parents[4] / "examples" / "rewrites").iterdir()
    if path.is_dir()
)
PATIENCE = 60
# By the process that runs are forked from; it does not find this file.
IMPORTED = [
    "alembic.command",
    "holdfast.migrate.run",
    "holdfast.migrate.sql.project",
    "sqlalchemy.dialects.postgresql.psycopg",
]

OBSERVER = """
    CREATE TABLE holdfast.in_use AS
        SELECT c.oid, format('%I.%I', n.nspname, relname) AS name, relname
        FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        WHERE relkind IN ('r', 'p', 'm')
          AND nspname NOT IN ('holdfast', 'pg_catalog', 'information_schema')
          AND relname NOT IN ('alembic_version', 'schema_migrations');
    CREATE TABLE holdfast.locks_seen (entry bigint, name text, mode text);
    CREATE TABLE holdfast.stop_at (entry bigint);
    CREATE SEQUENCE holdfast.entries;
    CREATE FUNCTION holdfast.observe() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE this bigint := nextval('holdfast.entries');
    BEGIN
        INSERT INTO holdfast.locks_seen SELECT this, name, mode FROM pg_locks
            JOIN holdfast.in_use ON oid = relation WHERE pid = pg_backend_pid() AND granted;
        IF this = (SELECT entry FROM holdfast.stop_at) THEN
            PERFORM pg_sleep(120);
        END IF;
        RETURN NULL;
    END$$;
    CREATE TRIGGER observe AFTER INSERT OR UPDATE OR DELETE ON holdfast.queue
        FOR EACH STATEMENT EXECUTE FUNCTION holdfast.observe();
"""
STOPPED = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event = 'PgSleep'
      AND query NOT LIKE '%guard%'  -- which sleeps between two looks
"""
# The columns of each table with their types, by number: a type that is made again keeps its name.
COLUMNS = """
    SELECT c.oid::regclass::text, array_agg(
        concat_ws(' ', attname, atttypid, atttypmod, attcollation) ORDER BY attname)
    FROM pg_class c JOIN pg_attribute a ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped
    WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace
      AND relname NOT IN ('alembic_version', 'schema_migrations') GROUP BY c.oid
"""


def statements(file: Path) -> str:
    """A script as the body of a revision's function, one op.execute a statement."""
    parsed = parse(file.read_text())
    return "\n".join(f"op.execute(sa.text({_escaped(s.sql)!r}))" for s in parsed)


def _escaped(text: str) -> str:
    return text.replace(":", "\\:")


class AnyProject(Protocol):
    """A history and its database: of Alembic, or of SQL files."""

    revisions: list[str]
    database: str

    @property
    def place(self) -> Path:
        """Where a process of its own finds it."""

    @property
    def config(self) -> Config:
        """A fresh configuration."""

    def query(self, sql: str) -> list[tuple[object, ...]]:
        """The rows of a query."""
        ...


class MakeProject(Protocol):
    """Makes the history of an example."""

    def __call__(self, example: Path, *, folder: Path, url: str) -> AnyProject:
        """In this folder, for this database."""
        ...


def scripts_of(example: Path, *, folder: Path, url: str) -> ScriptProject:
    """The same history as SQL files, which `holdfast apply` takes."""
    project = ScriptProject(folder=folder, database=url)
    project.script((example / "before.sql").read_text())
    revert = example / "revert.sql"
    back = revert.read_text() if revert.exists() else ""
    project.script((example / "change.sql").read_text(), back)
    return project


def without_version_tables(dump: str) -> str:
    """A dump without the table in which a history keeps its place."""
    parts = dump.split("\n\n")
    return "\n\n".join(
        each for each in parts if not re.search(r"\balembic_version|\bschema_migrations", each)
    )


def project_of(example: Path, *, folder: Path, url: str) -> Project:
    """A history whose first revision makes the tables, and whose second is the change."""
    project = Project(folder=folder, database=url)
    project.revision(f"op.execute(sa.text({_escaped((example / 'before.sql').read_text())!r}))")
    revert = example / "revert.sql"
    project.revision(
        statements(example / "change.sql"), statements(revert) if revert.exists() else "pass"
    )
    return project


def template_of(
    example: Path, *, folder: Path, postgres: Postgres, make: MakeProject = project_of
) -> str:
    """A database at the first revision, with the observer in it."""

    def build(url: str) -> None:
        project = make(example, folder=folder, url=url)
        upgrade(project.config, project.revisions[0])
        with psycopg.connect(url) as connection:
            connection.execute(OBSERVER)

    return postgres.template(f"contract_{make.__name__}_{example.name}", build)


# Locks.


def locks_seen(project: AnyProject) -> set[str]:
    """What the migration held on tables in use, above what every query takes: the strongest of each step."""
    modes = {mode.in_catalog: mode for mode in LockMode}
    held: dict[tuple[object, object], LockMode] = {}
    for entry, name, mode in project.query("SELECT entry, name, mode FROM holdfast.locks_seen"):
        known = held.get((entry, name), LockMode.ACCESS_SHARE)
        held[entry, name] = max(known, modes[str(mode)], key=lambda mode: mode.strength)
    weak = (LockMode.ACCESS_SHARE, LockMode.ROW_SHARE, LockMode.ROW_EXCLUSIVE)
    return {f"{mode.value} on {name}" for (_, name), mode in held.items() if mode not in weak}


def locks_planned(events: list[Event]) -> set[str]:
    """Those of the plan that the run reported: for an example without `online.txt`."""
    planned = (event.steps for event in events if isinstance(event, StatementPlanned))
    return {
        f"{lock.mode.value} on {lock.relation}"
        for steps in planned
        for step in steps
        for lock in step.locks
    }


def locks_announced(example: Path, *, major: int) -> set[str]:
    """Those of the plan that was reviewed: `online.txt`."""
    special = example / f"online-{major}.txt"
    plan = (special if special.exists() else example / "online.txt").read_text()
    lines = [line.strip() for line in plan.splitlines()]
    return {
        line.removeprefix("locks: ").split(" (blocks")[0]
        for line in lines
        if line.startswith("locks: ")
    }


# Users.


@dataclass(frozen=True, slots=True, kw_only=True)
class Users:
    """What the application did meanwhile."""

    requests: list[str]
    errors: list[str]


def columns_of(project: AnyProject) -> dict[str, set[str]]:
    """Each table with its columns and their types."""
    return {str(table): set(columns) for table, columns in project.query(COLUMNS)}  # type: ignore[call-overload]


@contextmanager
def users_of(url: str, tables: dict[str, set[str]]) -> Iterator[Users]:
    """For the block somebody reads and somebody writes, on each of these tables."""
    users, ended = Users(requests=[], errors=[]), Signal()
    # A table that keeps no column has none that they could name before and after.
    commands = [
        command for table in tables if tables[table] for command in _requests(table, tables[table])
    ]
    threads = [
        Thread(target=_use, args=(url, command, users, ended), daemon=True) for command in commands
    ]
    for thread in threads:
        thread.start()
    try:
        yield users
    finally:
        ended.set()
        for thread in threads:
            thread.join(PATIENCE)


def _requests(table: str, columns: set[str]) -> Iterator[sql.Composed]:
    names = [column.split(" ")[0] for column in sorted(columns)]
    listed = sql.SQL(", ").join(map(sql.Identifier, names))
    yield sql.SQL("SELECT {} FROM {} LIMIT 3").format(listed, sql.SQL(table))
    yield sql.SQL("UPDATE {} SET {} = {} WHERE ctid = (SELECT min(ctid) FROM {})").format(
        sql.SQL(table), sql.Identifier(names[0]), sql.Identifier(names[0]), sql.SQL(table)
    )


def _use(url: str, command: sql.Composed, users: Users, ended: Signal) -> None:
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            while not ended.wait(0.005):
                connection.execute(command)
                users.requests.append(command.as_string())
    except psycopg.Error as error:
        users.errors.append(f"{command.as_string()}: {error.sqlstate} {error}")


# Processes.


def run(place: Path) -> None:
    """What a process of its own does."""
    upgrade(config_at(place) if place.is_dir() else Config(place), "head")


def revert(place: Path) -> None:
    """The way back to the tables."""
    downgrade(config_at(place) if place.is_dir() else Config(place), "r1")


class Process:
    """A run in a process of its own, forked from one that has imported everything."""

    def __init__(self, project: AnyProject, does: Callable[[Path], None] = run) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(IMPORTED)
        self.process = context.Process(target=does, args=(project.place,))
        self.process.start()

    def end(self) -> None:
        """Returns when it has done its work."""
        self.process.join(PATIENCE)
        assert self.process.exitcode == 0

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.join(PATIENCE)
        assert self.process.exitcode == -signal.SIGKILL


def kill_at(project: AnyProject, entry: int, *, does: Callable[[Path], None] = run) -> bool:
    """Start a run, kill it inside the transaction of this entry of the journal; False where there is none."""
    with psycopg.connect(project.database, autocommit=True) as connection:
        process, stopped = _stopped_at(connection, entry, project=project, does=does)
        if stopped is None:
            process.end()
            return False
        process.kill()
        # The server finds out when it next writes to the client; here at once.
        connection.execute("SELECT pg_terminate_backend(%s::integer, 10000)", stopped)
        return True


def crash_at(project: AnyProject, entry: int) -> bool:
    """The same, but the backend is killed instead of the process: the server ends every session and recovers.

    The run ends with an error; or it goes on, on new connections, where it heard first that nobody watches it.
    """
    with psycopg.connect(project.database, autocommit=True) as connection:
        # So that the crash takes none of this back: a run that goes on by itself would be stopped once more.
        connection.execute("SET synchronous_commit = on")
        process, stopped = _stopped_at(connection, entry, project=project)
        if stopped is None:
            process.end()
            return False
    os.kill(int(str(stopped[0])), signal.SIGKILL)
    process.process.join(PATIENCE)
    assert process.process.exitcode is not None
    limit = time.monotonic() + PATIENCE
    while True:
        try:
            with psycopg.connect(project.database) as connection:
                # Once more: what was committed asynchronously before the crash may be lost.
                connection.execute("DELETE FROM holdfast.stop_at")
        except psycopg.OperationalError:
            assert time.monotonic() < limit, "the server did not come back"
            time.sleep(0.05)
        else:
            return True


def _stopped_at(
    connection: psycopg.Connection,
    entry: int,
    *,
    project: AnyProject,
    does: Callable[[Path], None] = run,
) -> tuple[Process, tuple[object, ...] | None]:
    """A run, and the process id of the backend that stands still in it; None where there is no such entry."""
    connection.execute("SELECT setval('holdfast.entries', 1, false)")
    connection.execute("DELETE FROM holdfast.stop_at")
    connection.execute("INSERT INTO holdfast.stop_at VALUES (%s)", [entry])
    process = Process(project, does)
    stopped = _wait_for_stop(connection, process)
    connection.execute("DELETE FROM holdfast.stop_at")
    return process, stopped


def _wait_for_stop(connection: psycopg.Connection, process: Process) -> tuple[object, ...] | None:
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit:
        is_alive = process.process.is_alive()
        if stopped := connection.execute(STOPPED).fetchone():
            return stopped
        if not is_alive:
            return None
        time.sleep(0.01)
    raise TimeoutError(f"waited {PATIENCE} s for the run to end or to be stopped")


def meanwhile(example: Path, *, url: str, before: int) -> tuple[Report, list[str]]:
    """Another connection changes the partitions right before this step; with it, the steps that were begun."""
    begun: list[str] = []

    def report(event: Event) -> None:
        if isinstance(event, StepStarted):
            begun.append(event.step)
            if len(begun) == before:
                with psycopg.connect(url) as connection:
                    connection.execute((example / "meanwhile.sql").read_bytes())

    return report, begun


def entries(project: AnyProject) -> int:
    """How many entries the journal got since the last `kill_at`, or since the beginning."""
    [(number,)] = project.query("SELECT last_value FROM holdfast.entries")
    return int(str(number))
