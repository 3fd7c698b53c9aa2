"""The options that every verb shares, and what goes wrong in every verb, in words."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import click
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError

from holdfast.errors.migration import AlembicRefused, DatabaseRefused
from holdfast.observe.sqlstate import sqlstate
from holdfast.project import find_config

FORMAT = click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectOptions:
    """What -c and -x say."""

    file: Path | None
    x: tuple[str, ...]

    def config(self) -> Config:
        """The Alembic configuration of the project."""
        return find_config(file=self.file, x=self.x, directory=Path.cwd())


@contextmanager
def told_apart() -> Iterator[None]:
    """Turn the errors of Alembic and of the driver into ours; what env.py prints is not the result."""
    try:
        with redirect_stdout(sys.stderr):
            yield
    except CommandError as error:
        raise AlembicRefused(message=str(error)) from error
    except DBAPIError as error:
        raise DatabaseRefused(
            message=str(error.orig).strip(), sqlstate=sqlstate(error) or "no SQLSTATE"
        ) from error
