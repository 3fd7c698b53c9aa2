"""The pages of docs/projects are true: each command on them is a verb, and the worst of several databases counts."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from newcomers import flask_migrate, multidb

from holdfast.cli import VERBS
from holdfast.scratch.databases import Postgres

PAGES = sorted((Path(__file__).parents[4] / "docs" / "projects").glob("*.md"))
COMMAND = re.compile(r"holdfast (?:-c \S+ )?([a-z]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_command_is_a_verb(page: Path) -> None:
    """What stands between backticks can be typed."""
    code = re.findall(r"`([^`\n]+)`", page.read_text())
    found = {verb for span in code for verb in COMMAND.findall(span)}
    assert found <= set(VERBS)


@pytest.fixture
def databases(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
    monkeypatch.setenv("HOLDFAST_SCRATCH_URL", postgres.url("postgres"))
    with ExitStack() as lifetime:
        first, second = (lifetime.enter_context(postgres.database()) for _ in range(2))
        yield first, second


@pytest.mark.timeout(600)
@pytest.mark.everywhere
def test_the_worst_of_all_databases_counts(tmp_path: Path, databases: tuple[str, str]) -> None:
    """Whichever verb, whatever the form: one database behind is never `up to date`, and each is named."""
    project = multidb(tmp_path, databases)
    assert project.holdfast("generate", "first").returncode == 0
    assert project.holdfast("run").returncode == 0
    project.query("DELETE FROM alembic_version", number=1)
    project.query("DROP TABLE sales", number=1)
    names = [url.partition("?")[0].rpartition("/")[2] for url in databases]
    status = project.holdfast("status", "--format", "json")
    assert status.returncode != 0
    passes = json.loads(status.stdout)["passes"]
    assert [each["database"] for each in passes] == names
    assert (passes[0]["state"], passes[1]["state"] == "up_to_date") == ("up_to_date", False)
    plan = json.loads(project.holdfast("plan", "--format", "json").stdout)
    found = [(each["database"], len(each["revisions"])) for each in plan["databases"]]
    assert found == [(names[0], 0), (names[1], 1)]
    assert len(plan["revisions"]) == 1
    drift = project.holdfast("drift", "--format", "json")
    assert [each["database"] for each in json.loads(drift.stdout)["databases"]] == names


@pytest.mark.timeout(600)
def test_a_flask_application_that_is_not_found(tmp_path: Path, databases: tuple[str, str]) -> None:
    """The error says how Flask is told; no traceback."""
    project = flask_migrate(tmp_path, databases[:1])
    (tmp_path / "app.py").rename(tmp_path / "shop.py")
    lost = project.holdfast("status")
    assert (lost.returncode, "Traceback" in lost.stderr) == (2, False)
    assert lost.stderr.splitlines()[-1] == (
        "Run where `flask db current` works, or name the application: export FLASK_APP=package:create_app"
    )
    project.environment["FLASK_APP"] = "shop:create_app"
    assert project.holdfast("generate", "first").returncode == 0
