"""The steps of the action, run as a job runs them, on a project with one bad migration."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic import command
from alembic_project import Project
from everywhere import everywhere
from workflow_steps import CommentService, Job, comment_service

from holdfast.scratch.databases import Postgres

ROOT = Path(__file__).parents[4]
NOT_INSTALLED_AGAIN = (
    "Install",
)  # the tests run where holdfast is; `./dev prove pipeline` installs it
PLAN = {"plan": "true", "working-directory": "shop, back:end"}


@pytest.fixture(autouse=True)
def scratch(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server of the test run as the scratch server."""
    monkeypatch.setenv("HOLDFAST_SCRATCH_URL", postgres.url("postgres"))


@pytest.fixture
def shop(tmp_path: Path, project: Project) -> Project:
    """A revision that rewrites a table in use; in a folder of the checkout whose name needs escapes."""
    checkout = tmp_path / "checkout"
    (checkout / ".git").mkdir(parents=True)
    folder = checkout / PLAN["working-directory"]
    shop = Project(folder=folder, database=project.database)
    shop.revision("op.create_table('t', sa.Column('a', sa.Integer))", "op.drop_table('t')")
    command.upgrade(shop.config, "head")
    shop.revision(
        "op.execute('ALTER TABLE t ADD COLUMN b integer GENERATED ALWAYS AS (a + 1) STORED')",
        "op.drop_column('t', 'b')",
    )
    return shop


@pytest.fixture
def service() -> Iterator[CommentService]:
    with comment_service() as service:
        yield service


@pytest.fixture
def job(tmp_path: Path, service: CommentService) -> Job:
    (tmp_path / "job").mkdir()
    return Job(action=ROOT, checkout=tmp_path / "checkout", files=tmp_path / "job", api=service.url)


def test_one_bad_migration(shop: Project, job: Job, service: CommentService) -> None:
    """An annotation at its line, the same as SARIF, the plan as a comment; the job fails at its end.

    However many other comments there are, and however often the job runs: one of ours, with the newest plan.
    """
    service.comments += [{"id": number, "body": None} for number in range(1, 151)]
    ended = job.run(PLAN, without=NOT_INSTALLED_AGAIN)
    assert (ended.status, ended.step) == (1, "Result")
    [annotation] = re.findall(r"^::error (.*?)::(.*)$", ended.log, re.MULTILINE)
    assert annotation[0] == "file=shop%2C back%3Aend/versions/r2.py,line=11,title=online"
    assert annotation[1].startswith(
        "revision r2: r2.py:11: Refused, because public.t is in use: ALTER TABLE"
    )
    assert job.outputs["check"] == {
        "status": "1",
        "found": "true",
        "sarif-file": "shop, back:end/holdfast.sarif",
    }
    [run] = json.loads((shop.folder / "holdfast.sarif").read_text())["runs"]
    assert [result["locations"][0]["physicalLocation"] for result in run["results"]] == [
        {
            "artifactLocation": {
                "uri": "shop%2C%20back%3Aend/versions/r2.py",
                "uriBaseId": "%SRCROOT%",
            },
            "region": {"startLine": 11},
        }
    ]
    [comment] = (each for each in service.comments if each["body"])
    assert comment["body"].startswith(
        "<!-- holdfast plan of shop, back:end -->\n### Plan of the pending migrations\n"
    )
    assert "Refused, because public.t is in use" in comment["body"]
    assert (job.files / "summary.md").read_text() in comment["body"]

    file = shop.file("r2")
    file.write_text(
        re.sub(r"op\.execute\(.*", "op.add_column('t', sa.Column('b', sa.Text))", file.read_text())
    )
    without = NOT_INSTALLED_AGAIN if everywhere() else (*NOT_INSTALLED_AGAIN, "Check", "Result")
    assert job.run(PLAN, without=without).status == 0
    assert [comment["id"] for comment in service.comments if comment["body"]] == [151]
    assert "ALTER TABLE t ADD COLUMN b TEXT" in service.comments[150]["body"]
    assert "Refused" not in service.comments[150]["body"]


@pytest.mark.everywhere
def test_nobody_to_write_to(shop: Project, job: Job, service: CommentService) -> None:
    """A token that may not write is a warning, no pull request is said; neither fails a job that found nothing."""
    shop.file("r2").unlink()
    service.refuses = True  # as of a fork
    ended = job.run(PLAN, without=NOT_INSTALLED_AGAIN)
    assert (ended.status, service.comments) == (0, [])
    assert "::warning title=holdfast::The plan could not be" in ended.log
    assert "Nothing is pending." in (job.files / "summary.md").read_text()
    job.pull_request = None
    ended = job.run(PLAN, without=(*NOT_INSTALLED_AGAIN, "Check"))
    assert (ended.status, service.comments) == (0, [])
    assert "No pull request: the plan" in ended.log


def test_what_cannot_be_checked_fails_at_once(shop: Project, job: Job) -> None:
    """A project that does not load is no project without findings."""
    (shop.folder / "env.py").write_text("import shop_of_mine")
    ended = job.run(PLAN, without=NOT_INSTALLED_AGAIN)
    assert (ended.status, ended.step) == (3, "Check")
    assert "imports shop_of_mine, which is not installed" in ended.log
