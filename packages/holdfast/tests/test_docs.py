"""What the documentation claims to be proved is proved by a test that exists."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DOCS = sorted((ROOT / "docs").rglob("*.md"))
FILE = re.compile(r"[\w./]+\.py\b")
MODULE = re.compile(r"`(holdfast(?:\.\w+)+)`")
# [`test_name`](path/to/file.py)
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


def test_public_modules_are_those_of_the_contract() -> None:
    """What the marketplace may import by the contract is what docs/architecture.md calls public, and no more."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    allowed = {
        imported.split(" -> ")[1]
        for contract in settings["tool"]["importlinter"]["contracts"]
        for imported in contract.get("ignore_imports", ())
    }
    text = (ROOT / "docs/architecture.md").read_text()
    public = text.partition("Public, beside")[2].partition("\n\n")[0]
    assert set(MODULE.findall(public)) == allowed | {"holdfast.testing", "holdfast.errors"}
