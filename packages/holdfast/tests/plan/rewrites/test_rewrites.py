"""Every rewrite is in the list, and every one has an example."""

from pathlib import Path

from holdfast.plan import rewrites
from holdfast.plan.rewrites import ACTION_REWRITES, STATEMENT_REWRITES

SOURCES = {path.stem for path in Path(rewrites.__file__).parent.glob("*.py")} - {"__init__"}


def test_every_file_is_listed() -> None:
    """A file is named after its rewrite, and is asked."""
    names = [rewrite.name for rewrite in (*STATEMENT_REWRITES, *ACTION_REWRITES)]
    assert sorted(names) == sorted(SOURCES)
