"""The contract of every rewrite on PostgreSQL 16 and 18, or another one, with a SIGKILL at every entry of the journal.

Also of the way back; of type changes also with a SIGKILL of the backend, after which the server recovers.

Where an example has a `meanwhile.sql`, another connection executes it before each step in turn.

An entry is written inside each step's transaction, before each build and after it; besides, each build is killed while
it is under way. After every kill a new process finishes, and the schema must be that of plain Alembic. One line a case;
exit status 1 when one does not hold. Names of examples as arguments narrow it down. With --scripts the online side is
a folder of SQL files, as `holdfast apply` takes it.
"""

import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import click
import psycopg
from alembic import command

sys.path.insert(0, str(Path(__file__).parents[1] / "packages" / "holdfast" / "tests" / "kit"))

from contract import (
    EXAMPLES,
    AnyProject,
    MakeProject,
    Process,
    columns_of,
    crash_at,
    kill_at,
    locks_announced,
    locks_planned,
    locks_seen,
    meanwhile,
    project_of,
    revert,
    scripts_of,
    template_of,
    users_of,
    without_version_tables,
)
from other_servers import EMBEDDED, INSTALLATION, servers_of
from type_changes import TYPE_CHANGES, in_any_order

from holdfast.errors.statement import LongStatement
from holdfast.execute.progress import Event
from holdfast.migrate.run import downgrade, upgrade
from holdfast.scratch.databases import Postgres, postgres_at
from holdfast.scratch.dump import schema_dump

BUILDING = """
    SELECT pid FROM pg_stat_progress_create_index
    WHERE datname = current_database() AND phase = 'waiting for old snapshots'
"""
PATIENCE = 60
# What a type change ends in: the schema of plain Alembic but for the order of columns.
EVERY = [
    *EXAMPLES,
    *(example for example in TYPE_CHANGES if not (example / "stops.txt").exists()),
]
CHANGES_OF_TYPES = ("alter_column_type", "recreate_type")  # the beginnings of their names
NAMES = click.Choice([example.name for example in EVERY])


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One example on one server, and the schemas that plain Alembic gives it, up and down again."""

    example: Path
    postgres: Postgres
    folder: Path
    template: str
    make: MakeProject
    schema: str
    reverted: str
    kept: dict[str, set[str]]

    def project(self, lifetime: ExitStack) -> AnyProject:
        """A history on a fresh copy of the database."""
        url = lifetime.enter_context(self.postgres.database(template=self.template))
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        return self.make(self.example, folder=folder / "project", url=url)


def dump(url: str) -> str:
    return in_any_order(without_version_tables(schema_dump(url)))


def case_of(example: Path, *, postgres: Postgres, folder: Path, make: MakeProject) -> Case:
    template = template_of(example, folder=folder / example.name, postgres=postgres)
    online = template
    if make is not project_of:
        scripts = folder / f"{example.name}-scripts"
        online = template_of(example, folder=scripts, postgres=postgres, make=make)
    with postgres.database(template=template) as url:
        plain = project_of(example, folder=folder / f"{example.name}-plain", url=url)
        before = columns_of(plain)
        command.upgrade(plain.config, "head")
        after, schema = columns_of(plain), dump(url)
        command.downgrade(plain.config, "r1")
        return Case(
            example=example,
            postgres=postgres,
            folder=folder,
            template=online,
            make=make,
            schema=schema,
            reverted=dump(url),
            kept={table: before[table] & after[table] for table in before if table in after},
        )


def undisturbed(case: Case) -> None:
    with ExitStack() as lifetime:
        project = case.project(lifetime)
        events: list[Event] = []
        with users_of(project.database, case.kept) as users:
            upgrade(project.config, "head", report=events.append)
        assert users.errors == [], users.errors
        is_reviewed = (case.example / "online.txt").exists()
        assert locks_seen(project) <= (
            locks_announced(case.example, major=case.postgres.major)
            if is_reviewed
            else locks_planned(events)
        )
        assert dump(project.database) == case.schema
        goes_back(case, project)


def goes_back(case: Case, project: AnyProject) -> None:
    """The way back ends as plain Alembic's, or is refused before it has done anything."""
    if not is_refused_back(case.example):
        downgrade(project.config, project.revisions[0])
        assert dump(project.database) == case.reverted
        return
    try:
        downgrade(project.config, project.revisions[0])
    except LongStatement:
        assert dump(project.database) == case.schema
    else:
        raise AssertionError("the way back is not refused")


def is_refused_back(example: Path) -> bool:
    """Whether the type before the change is one that no copy of a column can have."""
    return (example / "revert_stops.txt").exists()


def killed_at(case: Case, entry: int) -> bool:
    with ExitStack() as lifetime:
        project = case.project(lifetime)
        if not kill_at(project, entry):
            return False
        finish(case, project)
        return True


def changed_before(case: Case, step: int) -> bool:
    """Another connection creates partitions right before the step."""
    if not (case.example / "meanwhile.sql").exists():
        return False
    with ExitStack() as lifetime:
        plain, online = case.project(lifetime), case.project(lifetime)
        command.upgrade(plain.config, "head")
        with psycopg.connect(plain.database) as connection:
            connection.execute((case.example / "meanwhile.sql").read_bytes())
        report, begun = meanwhile(case.example, url=online.database, before=step)
        upgrade(online.config, "head", report=report)
        if len(begun) < step:
            return False
        assert dump(online.database) == dump(plain.database)
        return True


def reverted_at(case: Case, entry: int) -> bool:
    """The way back is killed, and gone on with."""
    if not (case.example / "revert.sql").exists() or is_refused_back(case.example):
        return False
    with ExitStack() as lifetime:
        project = case.project(lifetime)
        upgrade(project.config, "head")
        if not kill_at(project, entry, does=revert):
            return False
        Process(project, revert).end()
        assert dump(project.database) == case.reverted
        assert project.query("SELECT * FROM holdfast.queue") == []
        return True


def crashed_at(case: Case, entry: int) -> bool:
    """The backend is killed inside the transaction of the entry, and with it the whole server's memory."""
    with ExitStack() as lifetime:
        project = case.project(lifetime)
        if not crash_at(project, entry):
            return False
        finish(case, project)
        return True


def killed_in_a_build(case: Case) -> bool:
    """The process is killed, its backend goes on: the next run waits for that build instead of repeating it."""
    with ExitStack() as lifetime:
        project = case.project(lifetime)
        with (
            psycopg.connect(project.database) as old,
            psycopg.connect(project.database, autocommit=True) as watch,
        ):
            old.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            old.execute("SELECT 1 FROM pg_class")
            process = Process(project)
            limit = time.monotonic() + PATIENCE
            while process.process.is_alive() and not watch.execute(BUILDING).fetchone():
                assert time.monotonic() < limit, "the build was not reached"
                time.sleep(0.01)
            if not process.process.is_alive():
                return False
            process.kill()
        finish(case, project)
        return True


def finish(case: Case, project: AnyProject) -> None:
    Process(project).end()
    assert dump(project.database) == case.schema
    assert project.query("SELECT * FROM holdfast.queue") == []
    assert project.query("SELECT * FROM holdfast.unfinished") == []


def checks(case: Case) -> Iterator[tuple[str, Callable[[], object]]]:
    yield "undisturbed", lambda: undisturbed(case)
    yield "killed in a build", lambda: killed_in_a_build(case)


def proved(what: str, check: Callable[[], object]) -> tuple[bool, object]:
    try:
        result = check()
    except Exception:  # noqa: BLE001  # one case after the other
        print(f"FAILED  {what}", flush=True)
        traceback.print_exc()
        return False, True
    if result is not False:
        print(f"holds   {what}", flush=True)
    return True, result


def prove_example(case: Case) -> bool:
    name = f"PostgreSQL {case.postgres.major}  {case.example.name:28}"
    holds = [proved(f"{name} {what}", check)[0] for what, check in checks(case)]
    ways = [
        ("killed", killed_at),
        ("partitions created", changed_before),
        ("reverted, killed", reverted_at),
    ]
    if case.example in TYPE_CHANGES or case.example.name.startswith(CHANGES_OF_TYPES):
        ways.append(("crashed", crashed_at))
    for way, disturb in ways:
        entry, happened = 0, object()
        while happened is not False:
            entry += 1
            held, happened = proved(
                f"{name} {way} at entry {entry}",
                lambda entry=entry, disturb=disturb: disturb(case, entry),
            )
            holds.append(held)
    return all(holds)


@click.command(help=__doc__)
@click.argument("names", nargs=-1, metavar="[EXAMPLE]...", type=NAMES)
@click.option("--scripts", is_flag=True, help="Scripts, by holdfast apply, instead of Alembic.")
@click.option("--major", "majors", multiple=True, type=int, default=EMBEDDED)
@INSTALLATION
def main(
    names: tuple[str, ...], scripts: bool, majors: tuple[int, ...], installations: tuple[Path, ...]
) -> None:
    make: MakeProject = scripts_of if scripts else project_of
    examples = [example for example in EVERY if not names or example.name in names]
    holds = True
    for _, server in servers_of(installations, majors=majors):
        with tempfile.TemporaryDirectory() as folder:
            postgres = postgres_at(server.url())
            for example in examples:
                case = case_of(example, postgres=postgres, folder=Path(folder), make=make)
                holds = prove_example(case) and holds
    print("every case holds" if holds else "some cases do not hold")
    sys.exit(0 if holds else 1)


if __name__ == "__main__":
    main()
