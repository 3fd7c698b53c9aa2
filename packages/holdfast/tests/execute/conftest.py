"""A project on tables with rows."""

import pytest
from alembic_project import Project
from project_at_work import ProjectWith

TABLES = """
    CREATE TABLE u (id integer PRIMARY KEY);
    INSERT INTO u SELECT generate_series(1, 1000);
    CREATE TABLE t (id integer PRIMARY KEY, a integer, b text, u integer);
    INSERT INTO t SELECT n, n, 'b' || n, 1 + n % 1000 FROM generate_series(1, 5000) AS n;
"""


@pytest.fixture
def in_use(project_with: ProjectWith) -> Project:
    """Its first revision made and filled the tables."""
    return project_with(f"op.execute({TABLES!r})")
