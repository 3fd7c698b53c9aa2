"""An Alembic project on a database in use: its first revision is applied, once for all tests that begin so."""

from collections.abc import Callable
from pathlib import Path

import psycopg
from alembic_project import Project

from holdfast.migrate.run import upgrade

ProjectWith = Callable[..., Project]


def project_at_work(
    folder: Path, database_from: Callable[[str, Callable[[str], None]], str]
) -> ProjectWith:
    """`make(up, then=..)`: a project in `folder`, on a copy of a database where `up` and `then` were executed."""

    def project(name: str, url: str, up: str) -> Project:
        made = Project(folder=folder / name, database=url)
        made.revision(up)
        return made

    def make(up: str, *, then: str = "") -> Project:
        def build(url: str) -> None:
            upgrade(project("template", url, up).config, "head")
            with psycopg.connect(url, autocommit=True) as connection:
                for statement in filter(None, then.split("; ")):
                    connection.execute(statement.encode())

        return project("project", database_from(f"{up} {then}", build), up)

    return make
