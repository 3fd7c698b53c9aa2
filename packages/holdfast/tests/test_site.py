"""What `./dev docs` writes: a page for each operation, verb, setting and error; and no link in docs/ is dead."""

from pathlib import Path

import pytest
from operations import EXAMPLES, Row, operation_pages, rows
from pages import copy_pages
from reference import all_errors, error_pages, settings, verbs

from holdfast.cli import VERBS
from holdfast.engine.settings import Settings


def test_every_link_leads_somewhere(tmp_path: Path) -> None:
    """Whatever page it is on: to another page, or to a file of the repository; otherwise the build ends."""
    copy_pages(tmp_path)
    assert (tmp_path / "start.md").exists()


@pytest.fixture(scope="module")
def operations() -> dict[str, str]:
    """The pages of the operations by name, written once."""
    return operation_pages()


@pytest.mark.parametrize("row", rows(), ids=lambda row: str(row.number))
def test_every_operation_has_a_page(row: Row, operations: dict[str, str]) -> None:
    """It says what PostgreSQL does, what holdfast does, and why where it is refused; with its examples."""
    page = operations[row.page]
    assert f"| {row.operation} |" in page
    assert ("## When it is refused" in page) or not row.is_refused


def test_every_example_is_on_a_page(operations: dict[str, str]) -> None:
    """Also one that no row names."""
    text = "".join(operations.values())
    examples = [folder.name for folder in EXAMPLES.iterdir() if folder.is_dir()]
    assert [name for name in examples if f"## Example: {name}\n" not in text] == []


def test_every_verb_setting_and_error() -> None:
    """From the code, so that none is forgotten."""
    of_verbs, of_settings = verbs(), settings()
    assert [verb for verb in VERBS if f"\n## {verb}\n" not in of_verbs] == []
    assert [name for name in Settings.variables() if f"`{name}`" not in of_settings] == []
    assert set(error_pages()) == {error.__name__ for error in all_errors()}
