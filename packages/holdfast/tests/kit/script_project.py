"""A folder of SQL files, with the interface of `alembic_project.Project`."""

from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from alembic.config import Config
from sqlalchemy import make_url

from holdfast.engine.profiles import Profile
from holdfast.engine.settings import Settings
from holdfast.migrate.sql.project import sql_config

URL = ".url"


def settings_of(url: str) -> Settings:
    """The settings of a database of a test."""
    return Settings(url=make_url(url), profile=Profile.DEVELOPMENT)


def config_at(folder: Path) -> Config:
    """The configuration of a folder that a `ScriptProject` has made."""
    return sql_config(folder, settings=settings_of((folder / URL).read_text()))


@dataclass(kw_only=True)
class ScriptProject:
    """A folder of scripts, and the database that it belongs to."""

    folder: Path
    database: str
    revisions: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        (self.folder / URL).write_text(self.database)

    def script(self, up: str, down: str = "") -> str:
        """Add a file behind the last one."""
        version = str(len(self.revisions) + 1)
        self.file(f"{version}_script.sql", f"-- migrate:up\n{up}\n-- migrate:down\n{down}\n")
        self.revisions.append(version)
        return version

    def file(self, name: str, text: str) -> Path:
        """Write a file, of whatever layout."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    @property
    def place(self) -> Path:
        """Where a process of its own finds it."""
        return self.folder

    @property
    def config(self) -> Config:
        """A fresh configuration."""
        return config_at(self.folder)

    def query(self, sql: str) -> list[tuple[object, ...]]:
        """The rows of a query, over a connection of the test's own."""
        with psycopg.connect(self.database) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []
