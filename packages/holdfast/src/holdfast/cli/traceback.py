"""Shows an exception of the project's own code without our own frames and those of libraries."""

import sys
import sysconfig
import traceback
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from holdfast.errors.project import ModuleNotInstalled

# Packages that holdfast calls: their frames alone do not mean that the project is at fault.
TOOLS = (
    "holdfast",
    "alembic",
    "certifi",
    "click",
    "dotenv",
    "google.protobuf",
    "greenlet",
    "mako",
    "markupsafe",
    "opentelemetry.metrics",
    "postgast",
    "psycopg",
    "pydantic",
    "pydantic_settings",
    "rich",
    "sqlalchemy",
    "tenacity",
)


def frames_of_project(error: Exception) -> str | None:
    """Give the traceback without our frames and those of what we call; None if nothing else is left."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not _is_tool(frame.filename)]
    if not own:
        return None
    lines = [
        "Traceback (most recent call last):\n",
        *traceback.format_list(own),
        *traceback.format_exception_only(error),
    ]
    return "".join(lines)


def whole(error: Exception) -> str:
    """Give the whole traceback of an exception that no line of the project is part of."""
    return "".join(traceback.format_exception(error))


def module_not_installed(error: ModuleNotFoundError) -> ModuleNotInstalled | None:
    """Give the error that names the import that fails; None if no file of the project is in the traceback."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame.filename for frame in frames if not _is_tool(frame.filename)]
    if not own:
        return None
    return ModuleNotInstalled(file=own[-1], module=error.name or str(error), python=sys.executable)


def _is_tool(file: str) -> bool:
    if file.startswith("<"):  # <frozen importlib...>, <string>
        return True
    path = Path(file)
    if path.is_relative_to(sysconfig.get_path("stdlib")) and "site-packages" not in path.parts:
        return True
    is_script = path.name == "holdfast"  # the one that started us, in the environment's bin
    return is_script or any(path.is_relative_to(folder) for folder in _folders())


def _folders() -> list[Path]:
    specs = []
    for name in TOOLS:
        with suppress(ImportError):  # of a parent that is not what it should be
            specs.append(find_spec(name))
    return [Path(spec.origin).parent for spec in specs if spec and spec.origin]
