"""What the tests try on one or a few of a kind, on all of it: both servers, every example, each generator of projects.

`./dev prove everywhere [PYTEST ARGUMENTS]`: the same test files, with all cases; exit status 1 when one fails.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
# The helper that leaves cases out, the mark, and the fixture that leaves a server out (`tests/rewrite/conftest.py`).
LEFT_OUT = ("from everywhere import", "mark.everywhere", "each_postgres")


def files() -> list[Path]:
    """The test files that have more cases here."""
    tests = sorted(ROOT.glob("packages/*/tests/**/test_*.py"))
    return [file for file in tests if any(word in file.read_text() for word in LEFT_OUT)]


def main() -> int:
    words = sys.argv[1:] or [str(file) for file in files()]
    return subprocess.call(
        [sys.executable, "-m", "pytest", "--timeout=900", *words],
        env={**os.environ, "TEST_EVERYWHERE": "1"},
    )


if __name__ == "__main__":
    sys.exit(main())
