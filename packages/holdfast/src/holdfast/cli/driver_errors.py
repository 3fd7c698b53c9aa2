"""Explains errors of a database driver: no connection, a connection that was lost, an error from the server."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError

from holdfast.cli.project import ProjectOptions
from holdfast.errors import HoldfastError
from holdfast.errors.connection import ConnectionLost, EndedByTimeout
from holdfast.errors.migration import DatabaseRefused, NoRightsInSchema
from holdfast.errors.sqlstate import INSUFFICIENT_PRIVILEGE, sqlstate
from holdfast.migrate.project_files import find_project_files
from holdfast.observe.schema_constants import SCHEMA

# The line in an ini file or a pyproject.toml.
WRITTEN = re.compile(r"""^\s*"?sqlalchemy\.url"?\s*=\s*(.+)$""", re.MULTILINE)
LOST = ("57P", "08")  # classes of SQLSTATE with which a server ends a session
READ_ONLY = ("check", "doctor", "drift", "generate", "online", "plan", "status")
NOTHING = "Nothing was changed."
THE_REST = "The server has taken back what was not committed; what was committed before stays."
WAY_ON = "Correct what the message names, then repeat the same command."


@contextmanager
def explaining_connections() -> Iterator[None]:
    """Turn an error of the driver into one of ours; a failed connection says what was tried last."""
    last: dict[str, Any] = {}

    def note(_: object, __: object, ___: object, arguments: dict[str, Any]) -> None:
        last.clear()
        last.update({name: value for name, value in arguments.items() if name != "password"})

    event.listen(Engine, "do_connect", note)
    try:
        yield
    except EndedByTimeout as error:
        error.again = _this_command()
        raise
    except HoldfastError:
        raise
    except Exception as error:
        ours = _explained(error, last)
        if ours is None:
            raise
        raise ours from error
    finally:
        event.remove(Engine, "do_connect", note)


def _explained(error: Exception, arguments: dict[str, Any]) -> HoldfastError | None:
    # This loads all settings, which most runs do not need.
    from holdfast.engine.connection.connect_failure import explain_by_project, is_no_connection

    if arguments and is_no_connection(error):
        return explain_by_project(error, arguments, written=_written())
    if isinstance(error, DBAPIError):
        if sqlstate(error) == INSUFFICIENT_PRIVILEGE and f" {SCHEMA}." in (error.statement or ""):
            said = str(error.orig).partition("\n")[0]
            return NoRightsInSchema(role=arguments.get("user", "ROLE"), said=said)
        answered = _answered(str(error.orig), sqlstate(error), error.statement, error)
        answered.place = getattr(error, "place", None)
        return answered
    if type(error).__module__.partition(".")[0] in ("psycopg", "psycopg2", "asyncpg"):
        return _answered(str(error), sqlstate(error), None, error)
    return None


def _answered(
    message: str, state: str | None, statement: str | None, error: Exception
) -> HoldfastError:
    from holdfast.rewrite.statement import shortened  # loads the parser

    sent = shortened(statement or "COMMIT")
    if state is None or state.startswith(LOST):
        lost = ConnectionLost(said=message.strip().splitlines()[0], statement=sent)
        lost.again = _this_command()
        return lost
    is_read_only = click.get_current_context().info_name in READ_ONLY
    standing = NOTHING if is_read_only else THE_REST
    notes = getattr(error, "__notes__", None) or [standing, WAY_ON]
    return DatabaseRefused(
        message=message.strip(),
        sqlstate=state,
        statement=sent,
        standing=notes[0],
        way_on=notes[-1],
    )


def _this_command() -> str:
    return f"holdfast {click.get_current_context().info_name}"


def _written() -> list[tuple[str, str]]:
    """Find each sqlalchemy.url that is written in a file of the project, with the name of the file.

    Not what the configuration says by now: env.py may have set it, as that of Flask-Migrate does.
    """
    options = click.get_current_context().find_object(ProjectOptions)
    files = None if options is None else find_project_files(Path.cwd(), file=options.file)
    named = () if files is None else (files.ini, files.pyproject)
    return [
        (url, file.name)
        for file in named
        if file is not None and file.is_file()
        for url in WRITTEN.findall(file.read_text(encoding="utf-8"))
    ]
