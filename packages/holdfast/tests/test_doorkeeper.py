"""Whatever a revision does with its connection, it ends as under plain Alembic."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from author_revisions import AUTHORS, BEFORE
from side_by_side import SideBySide, side_by_side

from holdfast.scratch.databases import Postgres


@pytest.fixture
def both(postgres: Postgres, tmp_path: Path) -> Iterator[SideBySide]:
    """Two databases with the tables that authors write about."""
    with ExitStack() as lifetime:
        yield side_by_side(postgres, tmp_path, before=BEFORE, lifetime=lifetime)


@pytest.mark.parametrize("author", AUTHORS, ids=lambda author: author.__name__)
def test_ends_as_plain_alembic(both: SideBySide, author: Callable[[], None]) -> None:
    """Schema and rows are those of plain Alembic."""
    both.revision(f"from author_revisions import {author.__name__} as body; body()")
    both.upgrade()
