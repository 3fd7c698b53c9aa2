"""Fixtures that several test files share."""

from pathlib import Path

import pytest
from alembic_project import Project


@pytest.fixture
def project(tmp_path: Path, database: str) -> Project:
    """An empty Alembic project on an empty database."""
    return Project(folder=tmp_path / "project", database=database)
