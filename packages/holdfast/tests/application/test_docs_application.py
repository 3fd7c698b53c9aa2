"""docs/application.md is true: its program is run, and every public name is on it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import holdfast

PAGE = Path(__file__).parents[4] / "docs" / "application.md"
PROGRAM = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r'^```python title="(.*?)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)
PRINTED = re.compile(r"^ *print\(.*\)  # (.*)$", re.MULTILINE)


def run(program: str, folder: Path, database: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own, with nothing but the address and the profile."""
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env={**os.environ, "DATABASE_URL": database, "HOLDFAST_PROFILE": "development"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_from_nothing_to_an_example_of_each(database: str, tmp_path: Path) -> None:
    """The first program of the page, and the others behind it, in order: each prints what stands beside it.

    Each public name is in one of them.
    """
    page = PAGE.read_text().partition("## In tests")[0]
    files = FILE.findall(page)
    programs = PROGRAM.findall(page)
    for name, text in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    ended = run("".join(programs), tmp_path, database)
    expected = ["['lamp'] True", *PRINTED.findall("".join(programs[1:]))]
    assert (ended.returncode, ended.stdout.splitlines()) == (0, expected), ended.stderr
    imported = re.findall(r"^from holdfast import (.*)$", page, re.MULTILINE)
    names = {name for line in imported for name in line.split(", ")}
    assert names == set(holdfast.__all__)


def test_every_public_name_is_on_the_page() -> None:
    """With what it takes, gives and raises: each in a row of the table."""
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert named == set(holdfast.__all__)
