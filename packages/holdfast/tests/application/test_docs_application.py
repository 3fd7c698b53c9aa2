"""docs/application.md is true: its program is run, and every public name is on it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import holdfast

PAGE = Path(__file__).parents[4] / "docs" / "application.md"
PROGRAM = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_from_nothing_to_the_first_query(database: str, tmp_path: Path) -> None:
    """The first program of the page, in a process of its own, with nothing but the address and the profile."""
    [program, *_] = PROGRAM.findall(PAGE.read_text())
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "DATABASE_URL": database, "HOLDFAST_PROFILE": "development"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, "['lamp'] True\n"), ended.stderr


def test_every_public_name_is_on_the_page() -> None:
    """With what it takes, gives and raises: each in a row of the table."""
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert named == set(holdfast.__all__)
