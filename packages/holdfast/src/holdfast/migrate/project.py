"""Finds the Alembic project that a command acts on, as Alembic and Flask-Migrate find theirs.

In this order: the file named with -c; in the working directory `alembic.ini`, a pyproject.toml with [tool.alembic] or
[tool.holdfast], Flask-Migrate's `migrations/alembic.ini`; the nearest pyproject.toml upwards with one of those two
tables. What [tool.holdfast] says beside another file is said in addition; where both name a project, the file counts.
"""

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alembic.config import Config

from holdfast.errors.migration import UnknownConfiguration
from holdfast.migrate.up_to_date.files import PYPROJECT, SECTION, escaped, tools_in

INI = "alembic.ini"
OF_FLASK_MIGRATE = Path("migrations")
LOCATION = "script_location"


def find_config(
    *, file: Path | None, x: tuple[str, ...], directory: Path, section: str = SECTION
) -> Config:
    """The configuration of the project; `x` are the values of -x, `section` is the value of -n."""
    config = _load(file, directory, section)
    config.cmd_opts = Namespace(x=list(x), quiet=True)  # Alembic's own messages are not our output
    return config


def _load(file: Path | None, directory: Path, section: str) -> Config:
    if file is not None:
        return _named(file, directory, section)
    for folder in (directory, *directory.parents):
        tools = tools_in(folder / PYPROJECT)
        ini = _ini_in(folder, tools)
        if tools or (ini is not None and folder == directory):
            return _config(ini, folder / PYPROJECT, tools, section)
    raise UnknownConfiguration(looked_in=f"{directory} and the pyproject.toml files above it")


def _named(file: Path, directory: Path, section: str) -> Config:
    if not file.exists():
        raise UnknownConfiguration(looked_in=str(file))
    if file.suffix != ".toml":
        folder = file.parent if (file.parent / PYPROJECT).exists() else directory
        return _config(file, folder / PYPROJECT, tools_in(folder / PYPROJECT), section)
    tools = tools_in(file)
    if not tools:
        raise UnknownConfiguration(looked_in=str(file))
    return _config(_ini_in(file.parent, tools), file, tools, section)


def _ini_in(folder: Path, tools: Mapping[str, Any]) -> Path | None:
    if (folder / INI).exists():
        return folder / INI
    is_named = "alembic" in tools or LOCATION in tools.get("holdfast", {})
    flasks = folder / OF_FLASK_MIGRATE / INI
    return flasks if flasks.exists() and not is_named else None


def _config(ini: Path | None, pyproject: Path, tools: Mapping[str, Any], section: str) -> Config:
    named: dict[str, Any] = {"toml_file": pyproject} if "alembic" in tools else {}  # from 1.16 on
    config = Config(ini, ini_section=section, **named)
    if named and not config.file_config.has_section(section):
        config.file_config.add_section(section)  # Alembic asks it before the other file
    table = tools.get("holdfast", {})
    is_of_another = LOCATION in table and config.file_config.has_option(section, LOCATION)
    for name, value in () if is_of_another else table.items():
        config.set_main_option(name, escaped(value))
    if ini is not None and not named and _is_without_location(config):
        config.set_main_option(LOCATION, escaped(ini.absolute().parent))  # as Flask-Migrate does
    return config


def _is_without_location(config: Config) -> bool:
    """Where not even a section is there, Alembic says so."""
    options = config.file_config
    section = config.config_ini_section
    return options.has_section(section) and not options.has_option(section, LOCATION)
