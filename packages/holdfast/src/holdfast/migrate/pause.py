"""Asks the run that migrates a database to pause, and to go on: a row that it looks at between steps and batches."""

from contextlib import closing

from alembic.config import Config
from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert

from holdfast.errors.migration import NothingToPause
from holdfast.execute import tables
from holdfast.execute.history import client
from holdfast.execute.session import MigrationSession
from holdfast.migrate.project_connection import ProjectConnection, on_project_connection


def pause(config: Config) -> None:
    """Ask for a pause, which lasts until `resume`, for this run and for later ones. Raises NothingToPause."""

    def ask(project: ProjectConnection) -> None:
        with closing(MigrationSession(project.connection)) as session:
            if not tables.exist(session):
                raise NothingToPause
            asked = insert(tables.pause).values(asked_by=client())
            session.execute(asked.on_conflict_do_nothing())
            session.commit()

    on_project_connection(config, ask)


def resume(config: Config) -> bool:
    """Take the request back; whether there was one."""

    def take_back(project: ProjectConnection) -> bool:
        with closing(MigrationSession(project.connection)) as session:
            if not tables.exist(session):
                return False
            found = session.execute(delete(tables.pause)).rowcount
            session.commit()
            return found > 0

    return on_project_connection(config, take_back)
