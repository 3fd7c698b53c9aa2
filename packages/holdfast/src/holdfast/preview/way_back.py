"""Tries the way back that `abandon` names on a copy of the schema, before anybody relies on it.

Takes the statements in their order; reads the database itself. What rows would say to them, the copy cannot know: it
has none.
"""

from collections.abc import Sequence

import psycopg
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from holdfast.errors import HoldfastError
from holdfast.migrate.project_connection import ProjectConnection, on_project_connection
from holdfast.rewrite.statement import shortened
from holdfast.scratch.schema_copy import copy_schema
from holdfast.scratch.template import scratch_server

BY_HAND = "--"
MAJOR = text("SELECT current_setting('server_version_num')::int / 10000")


def tried(config: Config, undo: Sequence[str]) -> str:
    """Execute the way back on a copy of the current schema, and say how that went. Never raises.

    Lines that a person has to work out (`-- by hand`) are left out.
    """
    statements = [sql for sql in undo if not sql.startswith(BY_HAND)]
    if not statements:
        return "no statement to try"
    try:
        url, major = on_project_connection(config, _place)
        with (
            scratch_server(major=18 if major > 16 else 16) as server,
            server.database() as copy,
        ):
            copy_schema(url, into=copy)
            return _executed(copy, statements)
    except (HoldfastError, psycopg.Error, DBAPIError, CommandError) as error:
        return f"not tried: {str(error).splitlines()[0]}"


def _place(project: ProjectConnection) -> tuple[str, int]:
    url = project.connection.engine.url.set(drivername="postgresql")
    major: int = project.connection.execute(MAJOR).scalar_one()
    return url.render_as_string(hide_password=False), major


def _executed(url: str, statements: Sequence[str]) -> str:
    with psycopg.connect(url, autocommit=True) as connection:
        for sql in statements:
            try:
                connection.execute(sql.encode())
            except psycopg.Error as error:
                said = str(error).splitlines()[0]
                return f"on a copy of the schema one fails: {shortened(sql)}: {said}"
    return "tried on a copy of the schema, without rows"
