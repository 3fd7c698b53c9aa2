"""Asks the running migration of a database to pause and resume: through a row that it reads between steps.

Of several databases, each has a row of its own.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic, sleep

from alembic.config import Config
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from holdfast.errors.unfinished import NothingToPause
from holdfast.execute import layout, tables
from holdfast.execute.history import client
from holdfast.execute.progress import Report, RunPaused
from holdfast.execute.session import MigrationSession
from holdfast.migrate.project_connection import ProjectConnection, on_every_pass

LOOK_AFTER = timedelta(seconds=1)


def pause(config: Config) -> tuple[str, ...]:
    """Ask for a pause in each database, which lasts until `resume`, for this run and for later ones.

    Gives the names of the databases in which holdfast has run: no other one has a place for the request. Raises
    NothingToPause where there is none.
    """

    def ask(project: ProjectConnection) -> str | None:
        with closing(MigrationSession(project.connection)) as session:
            if not layout.exist(session):
                return None
            asked = insert(tables.pause).values(asked_by=client())
            session.execute(asked.on_conflict_do_nothing())
            session.commit()
            return project.database.name

    paused = _names(on_every_pass(config, ask))
    if not paused:
        raise NothingToPause
    return paused


def resume(config: Config) -> tuple[str, ...]:
    """Withdraw the requests; give the names of the databases that had one."""

    def take_back(project: ProjectConnection) -> str | None:
        with closing(MigrationSession(project.connection)) as session:
            if not layout.exist(session):
                return None
            found = session.execute(delete(tables.pause)).rowcount
            session.commit()
            return project.database.name if found > 0 else None

    return _names(on_every_pass(config, take_back))


@dataclass(kw_only=True)
class Pausing:
    """Waits between two steps as long as a pause is asked for, by a signal or by `pause`.

    Nothing is uncommitted when it is asked, so nothing is held meanwhile.
    """

    session: MigrationSession
    report: Report
    is_asked: Callable[[], bool]
    should_stop: Callable[[], bool]
    _looked: float = field(default=0.0, init=False)
    _asked_by: str | None = field(default=None, init=False)

    def wait(self) -> None:
        """Return once nobody asks for a pause any more, or somebody asks for a stop."""
        while not self.should_stop():
            by = "a signal" if self.is_asked() else self._asked_in_database()
            if by is None:
                return
            self.report(RunPaused(asked_by=by))
            sleep(LOOK_AFTER.total_seconds())

    def _asked_in_database(self) -> str | None:
        if monotonic() - self._looked >= LOOK_AFTER.total_seconds():
            asked = select(tables.pause.c.asked_by)
            self._asked_by = self.session.execute(asked).scalar_one_or_none()
            self.session.commit()
            self._looked = monotonic()
        return self._asked_by


def _names(found: tuple[str | None, ...]) -> tuple[str, ...]:
    """Name each database once: env.py may come to one several times, for its version tables."""
    return tuple(dict.fromkeys(name for name in found if name is not None))
