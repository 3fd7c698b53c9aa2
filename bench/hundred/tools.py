"""How each tool applies the hundred migrations, or finds that nothing is pending: the same command."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from environments import PEERS, node_environment, python_environment

from holdfast.scratch.server import binary

HERE = Path(sys.executable).parent
SELECT = """
import os, psycopg
with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
    connection.execute("SELECT version_num FROM alembic_version").fetchall()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A command, run in a folder of the files."""

    name: str
    title: str
    command: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    is_run_twice: bool = False  # for the second run is another one


def ours_by_settings(files: Path) -> Tool:
    return Tool(
        name="ours",
        title="holdfast run, the URL is its own setting",
        command=(str(HERE / "holdfast"), "run"),
        folder=files / "env_by_settings",
        environment={"HOLDFAST_PROFILE": "test"},
        is_run_twice=True,
    )


def ours(files: Path) -> Tool:
    return Tool(
        name="ours_own_env",
        title="holdfast run, Alembic's own files",
        command=(str(HERE / "holdfast"), "run"),
        folder=files / "own_env",
    )


def alembic(files: Path) -> Tool:
    requirements = PEERS / "alembic_project" / "requirements.txt"
    place = python_environment("alembic", requirements=requirements)
    return Tool(
        name="alembic",
        title="alembic upgrade head",
        command=(str(place / "alembic"), "upgrade", "head"),
        folder=files / "own_env",
    )


def django(files: Path) -> Tool:
    requirements = PEERS / "django_project" / "requirements.txt"
    place = python_environment("django", requirements=requirements)
    return Tool(
        name="django",
        title="Django: manage.py migrate",
        command=(str(place / "python"), "manage.py", "migrate"),
        folder=files / "django",
    )


def typeorm(files: Path) -> Tool:
    place = node_environment("typeorm", source=PEERS / "typeorm")
    return Tool(
        name="typeorm",
        title="TypeORM: initialize(), migrationsRun",
        command=("node", "start.js"),
        folder=files / "typeorm",
        environment={"NODE_PATH": str(place / "node_modules")},
    )


def python_select(files: Path) -> Tool:
    return Tool(
        name="limit",
        title="the limit: python, import psycopg, one SELECT",
        command=(sys.executable, "-c", SELECT),
        folder=files,
    )


def psql(files: Path) -> Tool:
    return Tool(
        name="limit",
        title="the limit: psql --file, each statement commits",
        command=(
            *(str(binary("psql")), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"),
            *("--file", str(files / "all.sql")),
        ),
        folder=files,
    )
