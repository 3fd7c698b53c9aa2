"""The same history applied twice: by plain Alembic, and online on a database in use."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from difflib import unified_diff
from pathlib import Path

import psycopg
from alembic import command
from alembic_project import SYNC_ENV, Project

from holdfast.execute.progress import Event
from holdfast.migrate.run import downgrade, upgrade
from holdfast.scratch.databases import Postgres
from holdfast.scratch.dump import schema_dump

# All user tables and Alembic's.
TABLES = """
    SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
    WHERE schemaname NOT IN ('pg_catalog', 'information_schema', 'holdfast')
    ORDER BY 1
"""
# What `alembic stamp r1` does.
STAMPED = """
    CREATE TABLE alembic_version (
        version_num varchar(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num));
    INSERT INTO alembic_version VALUES ('r1');
"""


@dataclass(kw_only=True)
class SideBySide:
    """Two projects of equal content on two databases of equal content."""

    plain: Project
    online: Project
    events: list[Event] = field(default_factory=list)

    def env(self, source: str = SYNC_ENV, *, driver: str = "psycopg") -> None:
        """Use another env.py, and another driver, in both."""
        for project in (self.plain, self.online):
            project.env(source, driver=driver)

    def revision(self, up: str, down: str = "pass") -> str:
        """Add a revision to both."""
        self.plain.revision(up, down)
        return self.online.revision(up, down)

    def upgrade(self, revision: str = "head") -> None:
        """Both go up, and end alike, with nothing left to do."""
        command.upgrade(self.plain.config, revision)
        upgrade(self.online.config, revision, report=self.events.append)
        self.compare()

    def downgrade(self, revision: str) -> None:
        """Both go down, and end alike."""
        command.downgrade(self.plain.config, revision)
        downgrade(self.online.config, revision, report=self.events.append)
        self.compare()

    def compare(self) -> None:
        """Schema, rows, versions; and nothing invalid or half-way."""
        difference = unified_diff(end_of(self.plain), end_of(self.online), "plain", "online")
        assert not (text := "\n".join(difference)), text
        assert self.online.query("SELECT * FROM holdfast.unfinished") == []


def end_of(project: Project) -> list[str]:
    """Where the history of a project has ended: lines of schema, rows, versions."""
    lines = schema_dump(project.database).splitlines()
    with psycopg.connect(project.database) as connection:
        for (table,) in connection.execute(TABLES).fetchall():
            rows = connection.execute(f"SELECT t::text FROM {table} AS t ORDER BY 1".encode())
            lines += [f"{table} {row}" for (row,) in rows]
    return lines


def side_by_side(
    postgres: Postgres, folder: Path, *, before: str, lifetime: ExitStack
) -> SideBySide:
    """Two databases after `before` (SQL), both at a first revision `r1` that did nothing."""

    def build(url: str) -> None:
        with psycopg.connect(url) as connection:
            connection.execute(before.encode())
            connection.execute(STAMPED)

    template = postgres.template(before, build)
    both = SideBySide(
        plain=Project(
            folder=folder / "plain",
            database=lifetime.enter_context(postgres.database(template=template)),
        ),
        online=Project(
            folder=folder / "online",
            database=lifetime.enter_context(postgres.database(template=template)),
        ),
    )
    both.revision("pass")
    return both
