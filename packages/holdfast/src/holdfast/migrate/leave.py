"""Removes holdfast from a database: what is half-way is given up, then everything of ours is dropped.

`DROP SCHEMA holdfast CASCADE` alone would take the triggers away that keep a half-copied column equal, and leave the
copy; this takes the copy away first.
"""

from contextlib import closing, suppress
from dataclasses import dataclass

from alembic.config import Config
from sqlalchemy import text

from holdfast.errors.unfinished import NothingToAbandon
from holdfast.execute.progress import Report, silent
from holdfast.execute.session import MigrationSession
from holdfast.migrate.abandon import Abandoned, abandon
from holdfast.migrate.finish import WaitingLine, finish, prospects
from holdfast.migrate.project_connection import (
    ProjectConnection,
    on_every_pass,
    on_project_connection,
)
from holdfast.migrate.version_table import version_table_of
from holdfast.observe.schema_constants import SCHEMA

IS_THERE = text("SELECT to_regnamespace(:schema) IS NOT NULL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What `leave` has given up, and whether holdfast had anything in the database."""

    given_up: tuple[Abandoned, ...]
    had_schema: bool
    version_tables: tuple[str, ...] = ()  # schema and name: as they were
    gone: tuple[WaitingLine, ...] = ()


def leave(config: Config, *, report: Report = silent) -> Left:
    """End what is under way, let go what waits, and drop the schema `holdfast`; `alembic_version` stays as it is.

    In one database: see `each_database` for a project that has several.
    """
    had_schema = on_project_connection(config, _is_there)
    version_tables = on_every_pass(config, _version_table)
    given_up: tuple[Abandoned, ...] = ()
    if had_schema:
        with suppress(NothingToAbandon):
            given_up = abandon(config, report=report)
    finished = () if not had_schema else finish(config, yes=True, report=report)
    if had_schema:
        on_project_connection(config, _drop)
    return Left(
        given_up=given_up,
        had_schema=had_schema,
        version_tables=tuple(dict.fromkeys(version_tables)),
        gone=tuple(line for each in finished for line in each.gone),
    )


def waits(config: Config) -> tuple[WaitingLine, ...]:
    """Give what `leave` would finish: old names, and what waits to be dropped."""
    return tuple(line for each in prospects(config) for line in each.waiting)


def _is_there(project: ProjectConnection) -> bool:
    return bool(project.connection.execute(IS_THERE, {"schema": SCHEMA}).scalar_one())


def _version_table(project: ProjectConnection) -> str:
    with closing(MigrationSession(project.connection)) as session:
        return version_table_of(session, project.context)


def _drop(project: ProjectConnection) -> None:
    with closing(MigrationSession(project.connection)) as session:  # env.py's own transaction stays
        session.execute_sql(f"DROP SCHEMA {SCHEMA} CASCADE")
        session.commit()
