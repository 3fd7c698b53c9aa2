"""The configuration of the Alembic project that a command acts on, as Alembic takes it. Its files: `project_files`."""

from argparse import Namespace
from pathlib import Path
from typing import Any

from alembic.config import Config

from holdfast.errors.project import UnknownConfiguration, UnknownSection
from holdfast.migrate.project_files import (
    LOCATION,
    OURS,
    SECTION,
    ProjectFiles,
    escaped,
    find_project_files,
)


def find_config(
    *,
    file: Path | None,
    x: tuple[str, ...],
    directory: Path,
    section: str = SECTION,
    looked: bool = False,
) -> Config:
    """Give the configuration of the project; `x` are the values of -x, `section` is the value of -n.

    `looked`: a quick look has already found that the database may not be up to date. Raises UnknownConfiguration,
    UnknownSection.
    """
    files = find_project_files(directory, file=file)
    if files is None:
        where = str(file) if file else f"{directory} and the pyproject.toml files above it"
        raise UnknownConfiguration(looked_in=where)
    config = _config(files, section)
    _require_section(config, section)
    # `quiet`: Alembic's own messages are not our output.
    config.cmd_opts = Namespace(x=list(x), quiet=True, looked=looked)
    return config


def _require_section(config: Config, section: str) -> None:
    """Raise UnknownSection if the file has sections for projects, and not this one."""
    options = config.file_config
    found = [
        each
        for each in options.sections()
        if each != section and options.has_option(each, LOCATION)
    ]
    if found and not options.has_section(section):
        raise UnknownSection(
            file=str(config.config_file_name), section=section, found=tuple(found), named=found[0]
        )


def _config(files: ProjectFiles, section: str) -> Config:
    # Alembic takes a toml_file from 1.16 on.
    named: dict[str, Any] = {"toml_file": files.pyproject} if "alembic" in files.tools else {}
    config = Config(files.ini, ini_section=section, **named)
    if named and not config.file_config.has_section(section):
        config.file_config.add_section(section)  # Alembic asks it before the other file
    of_alembic, table = (files.tools.get(name, {}) for name in ("alembic", "holdfast"))
    for name in OURS:
        if name in of_alembic:  # get_main_option() of Alembic reads the ini alone
            config.set_main_option(name, escaped(of_alembic[name]))
    is_of_another = LOCATION in table and config.file_config.has_option(section, LOCATION)
    for name, value in () if is_of_another else table.items():
        config.set_main_option(name, escaped(value))
    if files.ini is not None and not named and _is_without_location(config):
        # Flask-Migrate does the same.
        config.set_main_option(LOCATION, escaped(files.ini.absolute().parent))
    return config


def _is_without_location(config: Config) -> bool:
    """Whether the file names no location of revisions; a missing section is Alembic's to report."""
    options = config.file_config
    section = config.config_ini_section
    return options.has_section(section) and not options.has_option(section, LOCATION)
