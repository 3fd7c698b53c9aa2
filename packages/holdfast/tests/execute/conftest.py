"""A project on tables with rows."""

from collections.abc import Callable
from pathlib import Path

import pytest
from alembic_project import Project

from holdfast.migrate.run import upgrade

TABLES = """
    CREATE TABLE u (id integer PRIMARY KEY);
    INSERT INTO u SELECT generate_series(1, 1000);
    CREATE TABLE t (id integer PRIMARY KEY, a integer, b text, u integer);
    INSERT INTO t SELECT n, n, 'b' || n, 1 + n % 1000 FROM generate_series(1, 5000) AS n;
"""
DatabaseFrom = Callable[[str, Callable[[str], None]], str]


@pytest.fixture
def in_use(database_from: DatabaseFrom, tmp_path: Path) -> Project:
    """Its first revision made and filled the tables."""

    def project(folder: str, url: str) -> Project:
        made = Project(folder=tmp_path / folder, database=url)
        made.revision(f"op.execute({TABLES!r})")
        return made

    def build(url: str) -> None:
        upgrade(project("template", url).config, "head")

    return project("project", database_from("tables with rows", build))
