"""What the tests try on one or two of a kind, on all of it: both servers, six generators of projects.

`./dev prove everywhere [PYTEST ARGUMENTS]`; exit status 1 when one fails.
"""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1] / "packages" / "holdfast" / "tests"
FILES = (
    "rewrite/test_type_changes.py",
    "rewrite/test_observed.py",
    "projects/test_life.py",
    "test_oldest.py",
)


def main() -> int:
    words = sys.argv[1:] or [str(TESTS / file) for file in FILES]
    return subprocess.call(
        [sys.executable, "-m", "pytest", *words],
        env={**os.environ, "HOLDFAST_TEST_EVERYWHERE": "1"},
    )


if __name__ == "__main__":
    sys.exit(main())
