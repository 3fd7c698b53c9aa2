"""Fixtures that several test files share."""

import gc
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic_project import Project
from everywhere import leave_out
from project_at_work import ProjectWith, project_at_work

from holdfast.scratch.databases import Postgres

# While hundreds of modules are loaded there is nothing to collect.
gc.set_threshold(100_000, 50, 1000)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is marked `everywhere` is for the proof of that name."""
    leave_out(config, items)


def pytest_collection_finish() -> None:
    """What is loaded by now stays to the end: the garbage collector looks at the tests' own objects only."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


@pytest.fixture
def project(tmp_path: Path, database: str) -> Project:
    """An empty Alembic project on an empty database."""
    return Project(folder=tmp_path / "project", database=database)


@pytest.fixture
def scratch(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server of the test run as the scratch server: nobody starts one of its own."""
    monkeypatch.setenv("HOLDFAST_SCRATCH_URL", postgres.url("postgres"))


@pytest.fixture
def project_with(
    tmp_path: Path, database_from: Callable[[str, Callable[[str], None]], str]
) -> ProjectWith:
    """Makes a project on a database that its first revision has made: `project_with(up, then="INSERT ..")`."""
    return project_at_work(tmp_path, database_from)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was left out, and why: only what needs a cluster may be."""
    reasons = Counter(str(each.longrepr[2]) for each in terminalreporter.stats.get("skipped", ()))
    for reason, number in reasons.items():
        terminalreporter.write_line(
            f"left out: {number} tests ({reason.removeprefix('Skipped: ')})"
        )
