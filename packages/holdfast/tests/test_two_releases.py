"""The contract of two releases: expand, both, finish or revert; killed on the way.

On one example, on each of them in `./dev prove everywhere`.

HOLDFAST_TEST_SEED repeats the kills of an earlier run.
"""

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import psycopg
import pytest
from alembic_project import Project
from contract import OBSERVER, Process, entries, kill_at, statements
from everywhere import named
from two_releases import ALSO, let_go, plain_dump, waits

from holdfast.migrate.run import downgrade, upgrade
from holdfast.rewrite.statement import parse
from holdfast.scratch.databases import Postgres
from holdfast.scratch.dump import schema_dump

EXAMPLES = sorted((Path(__file__).parents[3] / "examples" / "side_by_side").iterdir())
SEED = os.environ.get("HOLDFAST_TEST_SEED") or str(random.SystemRandom().randrange(10**6))


def project_of(example: Path, *, folder: Path, url: str) -> Project:
    """A history whose first revision makes the tables, and whose second is the change, run for two releases."""
    project = Project(folder=folder, database=url)
    with (folder / "alembic.ini").open("a") as ini:
        ini.write("expand = true\n")
    before = (example / "before.sql").read_text()
    project.revision(f"op.get_bind().exec_driver_sql({before.replace('%', '%%')!r})")
    project.revision(statements(example / "change.sql"), statements(example / "revert.sql"))
    return project


@contextmanager
def releases(url: str, *scripts: Path) -> Iterator[None]:
    """For the block each of these releases sends its statements, one after the other; none may fail."""
    errors: list[str] = []
    ended = Event()
    threads = [
        Thread(target=_use, args=(url, each, errors, ended), daemon=True) for each in scripts
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join(60)
    assert errors == []


def _use(url: str, script: Path, errors: list[str], ended: Event) -> None:
    texts = [statement.sql for statement in parse(script.read_text())]
    try:
        with psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
            while not ended.wait(0.005):
                for text in texts:
                    connection.execute(text.encode())
    except psycopg.Error as error:
        errors.append(f"{script.stem}: {error.sqlstate} {error}")


@pytest.mark.parametrize(
    "example", named(EXAMPLES, here=["rename_column"]), ids=lambda path: path.name
)
def test_two_releases(example: Path, postgres: Postgres, tmp_path: Path) -> None:
    """No request of either release fails; reverted it is as before; killed at any entry it ends as plain Alembic's."""
    old, new = example / "old.sql", example / "new.sql"
    with postgres.database() as url:
        project = project_of(example, folder=tmp_path / "project", url=url)
        upgrade(project.config, "r1")
        project.query(OBSERVER + ALSO)
        before = schema_dump(url)
        with releases(url, old):
            upgrade(project.config, "head")
        expanding = entries(project)
        assert waits(project)
        with releases(url, old):
            downgrade(project.config, "r1")
        assert waits(project) == []
        assert schema_dump(url) == before

        # Once more, killed on the way there, and killed on the way out.
        entry = random.Random(f"{SEED} {example.name}").randint(1, expanding)  # noqa: S311  # repeatable is what it must be
        print(f"HOLDFAST_TEST_SEED={SEED}: killed at entry {entry} of {expanding}")  # noqa: T201  # shown where the test fails
        kill_at(project, entry)
        Process(project).end()
        with releases(url, old, new):
            waiting = len(waits(project))
        with releases(url, new):
            entry = random.Random(f"{SEED} out {example.name}").randint(1, 2 * waiting)  # noqa: S311  # as above
            kill_at(project, entry, does=let_go)
            Process(project, let_go).end()
        assert waits(project) == []
        assert project.query("SELECT * FROM holdfast.queue") == []
        assert schema_dump(url) == plain_dump(project, postgres, tmp_path)
