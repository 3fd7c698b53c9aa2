"""The command line: verbs, exit status, errors without a traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import forked
import pytest
from alembic_project import SYNC_ENV, Project
from models_env import give_models

from holdfast.scratch.databases import Postgres


@pytest.fixture(autouse=True)
def scratch(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server of the test run as the scratch server."""
    monkeypatch.setenv("HOLDFAST_SCRATCH_URL", postgres.url("postgres"))


def holdfast(
    project: Project, *arguments: str, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return forked.holdfast(*arguments, cwd=cwd or project.folder)


def test_run_and_revert(project: Project) -> None:
    """The result is one line on stdout, the progress goes to stderr."""
    project.revision("op.create_table('a', sa.Column('id', sa.Integer))", "op.drop_table('a')")
    project.revision("op.create_index('i', 'a', ['id'])", "op.drop_index('i')")
    up = holdfast(project, "run")
    assert (up.returncode, up.stdout.split(" (")[0]) == (0, "applied 2: r1, r2")
    assert [line for line in up.stderr.splitlines() if line.startswith("up")] == [
        "up   r1 about r1 ...",
        "up   r2 about r2 ...",
    ]
    down = holdfast(project, "revert", "--to", "base")
    assert (down.returncode, down.stdout.split(" (")[0]) == (0, "reverted 2: r2, r1")
    command = [sys.executable, "-m", "holdfast", "run", "--to", "r1"]
    assert subprocess.check_output(command, cwd=project.folder).startswith(b"applied 1: r1")
    assert holdfast(project, "revert").stdout.startswith("reverted 1: r1")


def test_the_projects_own_exception(project: Project) -> None:
    """Only its own lines are shown; nothing is left of the revision."""
    project.revision("op.execute('CREATE TABLE t ()')\nraise LookupError('no such tenant')")
    ended = holdfast(project, "run")
    assert (ended.returncode, project.query("SELECT * FROM alembic_version")) == (3, [])
    shown = ended.stderr[ended.stderr.index("Traceback") :].splitlines()
    assert [line.split(",")[0] for line in shown if line.startswith("  File")] == [
        f'  File "{project.folder / "env.py"}"',
        f'  File "{project.folder / "versions" / "r1.py"}"',
    ]
    assert shown[-4:] == [
        "LookupError: no such tenant",
        "Revision r1 was rolled back; those before it stay.",
        "Correct what the message names, then run again: holdfast run. What is applied: holdfast status",
        "error: the project's own code raised this; see its lines above.",
    ]


def test_a_fault_that_is_not_the_projects(tmp_path: Path) -> None:
    """Whatever fails without a line of the project: it is not blamed, and no status says that something was found."""
    (tmp_path / "pydantic_settings").mkdir()
    (tmp_path / "pydantic_settings" / "__init__.py").write_text("raise ValueError('too old')")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-m", "holdfast", "settings"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr.splitlines()[-4:]) == (
        3,
        [
            "ValueError: too old",
            "error: This is not a fault of your project: ValueError: too old",
            (
                "The traceback has no line of the project: the fault is in holdfast, or a package in its environment"
                " is one that it does not work with."
            ),
            (
                f"See whether a package does not fit: {sys.executable} -m pip check. What is applied: holdfast status."
                " Otherwise report the lines above to the authors of holdfast."
            ),
        ],
    )


@pytest.mark.parametrize("verb", ["check", "run", "plan"])
@pytest.mark.parametrize("place", ["env.py", "versions/r1.py"])
def test_a_module_that_is_not_installed(project: Project, verb: str, place: str) -> None:
    """Whatever file of the project imports it, whatever the verb: the file, the module, and how it gets there."""
    project.revision("op.execute('CREATE TABLE t ()')")
    file = project.folder / place
    file.write_text(f"import shop_of_mine.models\n{file.read_text()}")
    ended = holdfast(project, verb)
    assert (ended.returncode, ended.stderr.splitlines()) == (
        3,
        [
            f"error: {file} imports shop_of_mine, which is not installed where holdfast runs.",
            (
                "holdfast executes env.py and the revisions, so it needs all that they import: the project's own"
                f" code and its dependencies. It runs with {sys.executable}."
            ),
            (
                f"Install the project beside holdfast, in its folder: {sys.executable} -m pip install . Or, if the"
                " code is only not found, name its folder: prepend_sys_path = %(here)s/src in alembic.ini, or"
                ' prepend_sys_path = ["%(here)s/src"] below [tool.alembic] in pyproject.toml'
            ),
        ],
    )


def test_x_arguments_reach_env(project: Project) -> None:
    """-x KEY=VALUE is what env.py gets from get_x_argument."""
    project.env(
        SYNC_ENV + "\nassert context.get_x_argument(as_dictionary=True) == {'tenant': 'a'}\n"
    )
    assert holdfast(project, "-x", "tenant=a", "run").returncode == 0


def test_project_from_pyproject_above(project: Project) -> None:
    """[tool.holdfast] in a pyproject.toml upwards names the project."""
    (project.folder / "alembic.ini").unlink()
    (project.folder / "pyproject.toml").write_text(
        f'[tool.holdfast]\nscript_location = "{project.folder}"\n"sqlalchemy.url" = "{project.url}"\n'
    )
    project.revision("op.create_table('a', sa.Column('id', sa.Integer))")
    below = project.folder / "deep" / "down"
    below.mkdir(parents=True)
    assert holdfast(project, "run", cwd=below).stdout.startswith("applied 1: r1")


def test_no_project_is_an_error_with_a_way_out(project: Project, tmp_path: Path) -> None:
    """Status 2 and three sentences."""
    ended = holdfast(project, "status", cwd=tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[1:] == [
        (
            "A project is an alembic.ini, Flask-Migrate's migrations/alembic.ini, or a pyproject.toml with"
            " [tool.alembic] or [tool.holdfast]."
        ),
        "Run in the folder of the project, or name the file: holdfast -c path/to/alembic.ini",
    ]


@pytest.mark.parametrize("served", ["https://docs.shop.example/holdfast", "http://127.0.0.1:8001/"])
def test_the_page_of_an_error(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, served: str
) -> None:
    """Where the documentation is served, every error ends with the address of its page; otherwise with what to do."""
    ended = holdfast(project, "status", cwd=tmp_path)
    assert ended.stderr.splitlines()[-1].startswith("Run in the folder of the project")
    monkeypatch.setenv("HOLDFAST_DOCS_URL", served)
    ended = holdfast(project, "status", cwd=tmp_path)
    page = f"more: {served.rstrip('/')}/errors/UnknownConfiguration/"
    assert (ended.returncode, ended.stderr.splitlines()[-1]) == (2, page)


def test_two_heads(project: Project) -> None:
    """Refused by default, with the two ways out; --to heads applies both."""
    project.revision("op.create_table('a', sa.Column('id', sa.Integer))")
    project.revision("op.create_table('b', sa.Column('id', sa.Integer))")
    other = project.file("r2").read_text().replace("r2", "r3").replace("'b'", "'c'")
    project.file("r3").write_text(other)
    refused = holdfast(project, "run")
    assert refused.returncode == 2
    assert "more than one head: r" in refused.stderr
    assert holdfast(project, "run", "--to", "heads").stdout.startswith("applied 3: r1, ")


def test_a_failing_revision(project: Project) -> None:
    """The server's own words, the statement and where the revision stands; no traceback, status 3."""
    project.revision("op.create_table('a', sa.Column('id', sa.Integer))")
    assert holdfast(project, "run").returncode == 0
    project.revision("op.execute('ALTER TABLE a ADD b int')\nop.execute('SELECT 1/0')")
    failed = holdfast(project, "run")
    assert failed.returncode == 3
    remedy = "Correct what the message names, then run again: holdfast run. What is applied: holdfast status"
    assert failed.stderr.splitlines()[-4:] == [
        "error: The database answered with an error (22012): division by zero",
        "The statement was: SELECT 1/0",
        "Revision r2 was rolled back; those before it stay.",
        remedy,
    ]


def test_a_revision_that_fails_half_way(project: Project) -> None:
    """Said, with the statement of the queue that failed."""
    project.revision("op.create_table('a', sa.Column('id', sa.Integer))")
    assert holdfast(project, "run").returncode == 0
    project.revision("op.create_index('i', 'a', ['id'])\nop.create_index('j', 'a', ['missing'])")
    failed = holdfast(project, "run")
    assert failed.returncode == 3
    assert failed.stderr.splitlines()[-3:] == [
        "The statement was: CREATE INDEX CONCURRENTLY j ON public.a USING btree (missing)",
        "Revision r2 is half-way: what it sent before this statement is done and recorded.",
        (
            "Correct what the message names, then go on where it stopped: holdfast run. What is left:"
            " holdfast status. If it can never finish: holdfast abandon"
        ),
    ]


def test_generate(project: Project) -> None:
    """--check tells what is missing; NAME writes it; then nothing is left to write. No database is asked."""
    give_models(project, "sa.Table('a', metadata, sa.Column('id', sa.Integer, primary_key=True))")
    missing = holdfast(project, "generate", "--check")
    assert (missing.returncode, missing.stdout.splitlines()[1]) == (1, "    op.create_table('a',")
    written = holdfast(project, "generate", "add a")
    assert written.stdout.startswith("written: "), written.stderr
    again = holdfast(project, "generate", "nothing")
    assert (again.returncode, again.stdout) == (
        0,
        "nothing to write: models and migrations agree\n",
    )
    assert holdfast(project, "generate", "--check").returncode == 0
    assert project.query("SELECT * FROM pg_tables WHERE schemaname = 'public'") == []


def test_generate_hints_at_a_rename(project: Project) -> None:
    """Nobody is at a terminal to be asked: the note says which option makes it a rename."""
    project.revision("op.create_table('t', sa.Column('a', sa.Integer))")
    give_models(project, "sa.Table('t', metadata, sa.Column('b', sa.Integer))")
    hinted = holdfast(project, "generate", "--rename", "t.x:b", "rename")
    assert (hinted.returncode, hinted.stderr.splitlines()[0]) == (
        2,
        "error: No rename t.x:b can be written.",
    )
    written = holdfast(project, "generate", "change")
    assert written.stderr == "note: a is dropped and b added; if it was renamed: --rename t.a:b\n"


def test_says_where_it_differed_from_its_plan(project: Project) -> None:
    """With the plan that was kept: a revision that reads data has done something else with the data."""
    project.revision("op.create_table('t', sa.Column('a', sa.Integer))")
    holdfast(project, "run")
    project.query("INSERT INTO t VALUES (1)")
    project.revision("op.create_index('i', 't', ['a'])")
    project.revision(
        "if op.get_bind().scalar(sa.text('SELECT count(*) FROM t')):\n"
        "    op.add_column('t', sa.Column('b', sa.Integer))"
    )
    plan = holdfast(project, "plan", "--format", "json").stdout
    (project.folder / "plan.json").write_text(plan)
    ran = holdfast(project, "run", "--plan", "plan.json")
    assert (ran.returncode, ran.stdout.splitlines()[:-1]) == (
        0,
        ["r3 differs from its plan: not planned: ALTER TABLE t ADD COLUMN b INTEGER"],
    )
    project.revision("op.drop_column('t', 'b')")
    ran = holdfast(project, "run", "--plan", "plan.json", "--format", "json")
    assert json.loads(ran.stdout.splitlines()[-1])["departures"] == [
        {"revision": "r4", "planned": None, "done": ["ALTER TABLE t DROP COLUMN b"]}
    ]
