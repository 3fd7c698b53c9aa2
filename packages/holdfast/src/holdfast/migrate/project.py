"""Finds the Alembic project that a command acts on.

In this order: the file named with -c; `alembic.ini` in the working directory; [tool.holdfast] or [tool.alembic] in the
nearest pyproject.toml upwards.
"""

import tomllib
from argparse import Namespace
from pathlib import Path

from alembic.config import Config

from holdfast.errors.migration import UnknownConfiguration
from holdfast.migrate.up_to_date.files import escaped


def find_config(*, file: Path | None, x: tuple[str, ...], directory: Path) -> Config:
    """The configuration of the project; `x` are the values of -x, which env.py may ask for."""
    config = _load(file, directory)
    config.cmd_opts = Namespace(x=list(x), quiet=True)  # Alembic's own messages are not our output
    return config


def _load(file: Path | None, directory: Path) -> Config:
    if file is not None:
        return _from_file(file)
    if (directory / "alembic.ini").exists():
        return Config(directory / "alembic.ini")
    for folder in (directory, *directory.parents):
        config = _from_pyproject(folder / "pyproject.toml")
        if config is not None:
            return config
    raise UnknownConfiguration(looked_in=f"{directory} and the pyproject.toml files above it")


def _from_file(file: Path) -> Config:
    if not file.exists():
        raise UnknownConfiguration(looked_in=str(file))
    if file.suffix != ".toml":
        return Config(file)
    config = _from_pyproject(file)
    if config is None:
        raise UnknownConfiguration(looked_in=str(file))
    return config


def _from_pyproject(file: Path) -> Config | None:
    if not file.exists():
        return None
    tools = tomllib.loads(file.read_text()).get("tool", {})
    if options := tools.get("holdfast"):
        config = Config()
        for name, value in options.items():
            config.set_main_option(name, escaped(value))
        return config
    if "alembic" in tools:
        return Config(toml_file=file)  # read by Alembic itself, from 1.16 on
    return None
