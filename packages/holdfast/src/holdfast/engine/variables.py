"""Reads the variables of a process, from its environment and a file `.env`, for `Settings` and the quick look.

Without pydantic and SQLAlchemy: with nothing pending, neither is ever loaded. Nothing is judged, nothing is shown.
"""

from collections.abc import Mapping
from pathlib import Path

URL_VARIABLES = ("HOLDFAST_URL", "DATABASE_URL")  # the first one that is set counts
DOTENV = Path(".env")
PROFILE = "HOLDFAST_PROFILE"
# The execution option of an engine whose database the environment alone names.
OF_ENVIRONMENT = "holdfast_of_environment"


def read_variables(environment: Mapping[str, str], *, file: Path | None) -> dict[str, str]:
    """Give all variables by their names in capital letters; empty ones, which count as not set, included.

    The environment comes before the file. One of its URLs comes before any in the file, whatever its name.
    """
    of_process = {name.upper(): value for name, value in environment.items()}
    said = {name: value for name, value in of_process.items() if value}
    in_file = {} if file is None else _in_file(file)
    if url_variable(said) is not None:
        in_file = {name: value for name, value in in_file.items() if name not in URL_VARIABLES}
    return {**of_process, **in_file, **said}


def says_something(environment: Mapping[str, str], *, file: Path | None) -> bool:
    """Whether a variable of holdfast is set besides the profile: only then can one be wrong."""
    names = {name for name, value in read_variables(environment, file=file).items() if value}
    return any(name.startswith("HOLDFAST_") for name in names - {PROFILE})


def url_variable(variables: Mapping[str, str]) -> str | None:
    """Name the variable that the address of the database comes from; None where no variable has one."""
    return next((name for name in URL_VARIABLES if variables.get(name)), None)


def first_line(file: Path) -> str:
    """Give the secret in a file: its first line, without the end. Raises OSError."""
    return file.read_text().partition("\n")[0]


def _in_file(file: Path) -> dict[str, str]:
    if not file.is_file():
        return {}
    from dotenv import dotenv_values  # most processes have no such file

    return {name.upper(): value or "" for name, value in dotenv_values(file).items()}
