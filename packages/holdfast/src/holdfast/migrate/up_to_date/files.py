"""Makes digests of the files that decide which revisions an Alembic project has. Reads files only.

Takes the options as Alembic does, but no Alembic; None wherever the project is of a kind that only Alembic itself
understands, which is never an error.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from configparser import ConfigParser, InterpolationError
from importlib.util import find_spec
from pathlib import Path

from holdfast.migrate.project_files import SECTION, escaped, find_project_files

# Options that put revisions in more places than the folder, or allow compiled ones.
NOT_READ = ("version_locations", "sourceless", "recursive_version_locations")


def options_at(directory: Path, *, file: Path | None) -> ConfigParser | None:
    """Give the options of the project that a command in this directory acts on; None: ask Alembic."""
    files = find_project_files(directory, file=file)
    if files is None:
        return None
    if files.table_alone is not None:
        return _from_table(files.table_alone)
    return None if files.tools or files.ini is None else _from_ini(files.ini)


def _from_ini(file: Path) -> ConfigParser:
    options = ConfigParser({"here": str(file.absolute().parent)})
    options.read(file, encoding="utf-8")
    return options


def _from_table(table: Mapping[str, object]) -> ConfigParser:
    options = ConfigParser()
    options.add_section(SECTION)
    for name, value in table.items():
        options.set(SECTION, name, escaped(value))
    return options


def folder_of(options: ConfigParser) -> Path | None:
    """Give the folder with env.py; None if revisions are read from anywhere else, too."""
    if not options.has_section(SECTION) or any(name in options[SECTION] for name in NOT_READ):
        return None
    try:
        location = options.get(SECTION, "script_location", fallback="")
    except InterpolationError:
        return None
    package, colon, inside = location.partition(":")
    if not colon or os.path.isabs(location):  # noqa: PTH117  # as Alembic asks
        return Path(location) if location else None
    spec = find_spec(package) if "." not in package else None
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0], inside)


def digest_of_options(options: ConfigParser) -> str:
    """Give the digest of all options, as env.py may read any of them."""
    items = options.items(SECTION, raw=True)
    said = sorted((name, value) for name, value in items if name != "here")
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def digest_of_files(folder: Path) -> str | None:
    """Give the digest of every Python file below the folder, env.py included."""
    digest = hashlib.sha256()
    for path in _python_files(folder):
        if path is None:
            return None
        source = path.read_bytes()
        name = path.relative_to(folder).as_posix()
        digest.update(f"{name} {len(source)}\n".encode() + source)
    return digest.hexdigest()


def _python_files(folder: Path) -> Iterator[Path | None]:
    """Give the Python files below the folder in a fixed order; None if it links to another folder."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        if entry.is_dir():
            if entry.is_symlink():
                yield None
            elif entry.name != "__pycache__":
                yield from _python_files(Path(entry.path))
        elif entry.name.endswith((".py", ".pyc")):
            yield Path(entry.path)
