"""Every rewrite is in the list, and every one has an example."""

import re
from pathlib import Path

from holdfast.rewrite import alter_table_hazards, hazards
from holdfast.rewrite import operations as rewrites
from holdfast.rewrite.hazards import LongWork
from holdfast.rewrite.operations import ACTION_REWRITES, STATEMENT_REWRITES

ROOT = Path(__file__).parents[5]
ROW = re.compile(r"^\| (\d+) \|.*\| ([^|]*)\|$", re.MULTILINE)
SOURCES = {path.stem for path in Path(rewrites.__file__).parent.glob("*.py")} - {"__init__"}


def test_every_file_is_listed() -> None:
    """A file is named after its rewrite, and is asked."""
    names = [rewrite.name for rewrite in (*STATEMENT_REWRITES, *ACTION_REWRITES)]
    assert sorted(names) == sorted(SOURCES)


def test_every_operation_is_documented() -> None:
    """The rows that rewrites and refusals name are rows of docs/operations.md; its examples exist."""
    table = ROW.findall((ROOT / "docs" / "operations.md").read_text())
    documented = {int(number) for number, _ in table}
    work = [found for module in (hazards, alter_table_hazards) for found in vars(module).values()]
    named = {
        *(row for rewrite in (*STATEMENT_REWRITES, *ACTION_REWRITES) for row in rewrite.rows),
        *(row for found in work if isinstance(found, LongWork) for row in found.rows),
    }
    assert named <= documented
    examples = {name for _, names in table for name in re.findall(r"\w+", names)}
    assert examples == {path.name for path in (ROOT / "examples" / "rewrites").iterdir()}
