"""Every operation is in the list, and its rows are in the table."""

import re
from importlib import import_module
from pathlib import Path

from holdfast.rewrite import hazards, operations
from holdfast.rewrite.hazards import LongWork
from holdfast.rewrite.operations import ACTION_OPERATIONS, STATEMENT_OPERATIONS

ROOT = Path(__file__).parents[5]
ROW = re.compile(
    r"^\| (\d+) \|[^|\n]*\|[^|\n]*\|[^|\n]*\|([^|\n]*)\|$", re.MULTILINE
)  # five cells: not the rows of Citus
SOURCES = {path.stem for path in Path(operations.__file__).parent.glob("*.py")} - {"__init__"}
RECORDS = (*STATEMENT_OPERATIONS, *ACTION_OPERATIONS)


def test_every_file_is_listed() -> None:
    """A file is named after its operation, and is asked."""
    assert {record.name for record in RECORDS} == SOURCES


def test_a_record_has_the_rows_of_its_refusals() -> None:
    """What a file refuses belongs to its operation."""
    for record in RECORDS:
        file = import_module(f"holdfast.rewrite.operations.{record.name}")
        own = [found for found in vars(file).values() if isinstance(found, LongWork)]
        rows = {row for each in RECORDS if each.name == record.name for row in each.rows}
        assert {row for work in own for row in work.rows} <= rows, record.name


def test_every_operation_is_documented() -> None:
    """The rows of the records are rows of docs/operations.md; its examples exist."""
    table = ROW.findall((ROOT / "docs" / "operations.md").read_text())
    documented = {int(number) for number, _ in table}
    common = [found for found in vars(hazards).values() if isinstance(found, LongWork)]
    named = {row for each in (*RECORDS, *common) for row in each.rows}
    assert named <= documented
    examples = {name for _, names in table for name in re.findall(r"\w+", names)}
    assert examples == {path.name for path in (ROOT / "examples" / "rewrites").iterdir()}
