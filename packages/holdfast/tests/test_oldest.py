"""The oldest SQLAlchemy and Alembic that are supported run the tests of migrations as the newest do."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from everywhere import each, everywhere
from filelock import FileLock

from holdfast.scratch.databases import Postgres

HERE = Path(__file__).parent
LOCK = HERE / "oldest" / "requirements.lock"
TESTS = ("migrate/test_run.py", "migrate/test_status.py")
# Not those that fork processes, which find the newest packages; and here only one.
CHOSEN = "not processes" if everywhere() else "test_up_and_down and psycopg2"


@pytest.fixture(scope="session")
def oldest(pytestconfig: pytest.Config) -> Path:
    """A folder with the old packages, installed once for a checkout."""
    folder = pytestconfig.rootpath / ".cache" / "oldest"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        if not (folder / "alembic-1.13.0.dist-info").exists():
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
            options = ["--require-hashes", "--requirement", str(LOCK), "--target", str(folder)]
            subprocess.run([*pip, *options], check=True)
    return folder


@pytest.mark.parametrize("tests", each(TESTS, here=1))
def test_as_the_newest(oldest: Path, postgres: Postgres, tests: str) -> None:
    """The same tests pass with these packages in front."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(oldest),
        "HOLDFAST_TEST_URL": postgres.url("postgres"),
    }
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-n0", "-Wdefault", "-k", CHOSEN, str(HERE / tests)],
        env=environment,
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-3000:]
