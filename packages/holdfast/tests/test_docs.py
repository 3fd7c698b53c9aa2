"""What the documentation claims to be proved is proved by a test that exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DOCS = sorted((ROOT / "docs").rglob("*.md"))
# [`test_name`](path/to/file.py)
FILE = re.compile(r"[\w./]+\.py\b")
NAMED = re.compile(r"\[`(test_\w+)`\]\(([^)]+\.py)\)")


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.stem)
def test_named_tests_exist(page: Path) -> None:
    """Each link from a name to a file leads to a test of that name."""
    missing = [
        f"{file}: {name}"
        for name, file in NAMED.findall(page.read_text())
        if f"def {name}(" not in (page.parent / file).read_text()
    ]
    assert missing == []


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.stem)
def test_every_row_of_a_table_of_proofs_names_one(page: Path) -> None:
    """A table whose last column is `proved by`; a row without a proof says `not here`."""
    unproved = []
    is_of_proofs = False
    for line in page.read_text().splitlines():
        is_of_proofs = line.startswith("|") and (is_of_proofs or line.endswith("| proved by |"))
        is_row = is_of_proofs and not line.endswith(("| proved by |", "|---|"))
        if is_row and not NAMED.search(line) and "not here" not in line:
            unproved.append(line)
    assert unproved == []


def test_files_that_the_picture_names_exist() -> None:
    """Whoever looks for a place by docs/architecture.md finds a file of that name there."""
    files = [f"/{each.relative_to(ROOT)}" for each in ROOT.glob("packages/**/*.py")]
    named = set(FILE.findall((ROOT / "docs/architecture.md").read_text())) - {"env.py"}
    placeholders = {name for name in named if "NAME" in name}
    assert {n for n in named - placeholders if not any(f.endswith(f"/{n}") for f in files)} == set()
