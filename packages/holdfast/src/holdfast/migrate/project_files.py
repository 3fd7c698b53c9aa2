"""Finds the files that name an Alembic project, as Alembic and Flask-Migrate find them. Does not load Alembic.

In this order: the file named with -c; in the working directory `alembic.ini`, a pyproject.toml with [tool.alembic] or
[tool.holdfast], Flask-Migrate's `migrations/alembic.ini`; the nearest pyproject.toml upwards with one of those two
tables. What [tool.holdfast] says beside another file is said in addition; where both name a project, the file counts.
"""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from holdfast.errors.light_dataclass import light_dataclass

SECTION = "alembic"
INI = "alembic.ini"
PYPROJECT = "pyproject.toml"
LOCATION = "script_location"
SQL = "sql"
# The options of holdfast itself, in alembic.ini, [tool.holdfast] or [tool.alembic].
OURS = ("branches", "drift_ignore", "expand", "scratch_start")
OF_FLASK_MIGRATE = Path("migrations")


@light_dataclass
class ProjectFiles:
    """An ini file, a pyproject.toml with tables for Alembic and holdfast, or both."""

    ini: Path | None
    pyproject: Path
    tools: Mapping[
        str, Mapping[str, Any]
    ]  # the tables `alembic` and `holdfast`, where they are there

    @property
    def table_alone(self) -> Mapping[str, Any] | None:
        """The table [tool.holdfast], if nothing else names the project."""
        table = self.tools.get("holdfast", {})
        is_alone = self.ini is None and "alembic" not in self.tools
        return table if is_alone and LOCATION in table else None


def find_project_files(directory: Path, *, file: Path | None) -> ProjectFiles | None:
    """Find the files of the project that a command in this directory acts on; `file` is what -c names."""
    if file is not None:
        return _named(file, directory)
    for folder in (directory, *directory.parents):
        found = _in(folder)
        if found.tools or (found.ini is not None and folder == directory):
            return found
    return None


def sql_in(directory: Path) -> Path | None:
    """Give the SQL scripts that `sql` of [tool.holdfast] names, in the nearest pyproject.toml with such a table."""
    files = find_project_files(directory, file=None)
    if files is None or files.ini is not None or "alembic" in files.tools:
        return None
    named = files.tools.get("holdfast", {}).get(SQL)
    return None if named is None else files.pyproject.parent / str(named)


def escaped(value: object) -> str:
    """Write a value of a pyproject.toml as one of an alembic.ini."""
    text = json.dumps(value) if isinstance(value, list) else str(value)
    return text.replace("%", "%%")


def _named(file: Path, directory: Path) -> ProjectFiles | None:
    if not file.exists():
        return None
    if file.suffix == ".toml":
        tools = _tools_in(file)
        ini = _ini_in(file.parent, tools)
        return ProjectFiles(ini=ini, pyproject=file, tools=tools) if tools else None
    folder = file.parent if (file.parent / PYPROJECT).exists() else directory
    pyproject = folder / PYPROJECT
    return ProjectFiles(ini=file, pyproject=pyproject, tools=_tools_in(pyproject))


def _in(folder: Path) -> ProjectFiles:
    tools = _tools_in(folder / PYPROJECT)
    return ProjectFiles(ini=_ini_in(folder, tools), pyproject=folder / PYPROJECT, tools=tools)


def _ini_in(folder: Path, tools: Mapping[str, Any]) -> Path | None:
    if (folder / INI).exists():
        return folder / INI
    is_named = "alembic" in tools or LOCATION in tools.get("holdfast", {})
    flasks = folder / OF_FLASK_MIGRATE / INI
    return flasks if flasks.exists() and not is_named else None


def _tools_in(file: Path) -> dict[str, Mapping[str, Any]]:
    if not file.exists():
        return {}
    tools = tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {})
    return {name: tools[name] for name in ("alembic", "holdfast") if tools.get(name)}
