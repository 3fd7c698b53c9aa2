"""Pauses a run between two steps or batches, as long as somebody asks for it: a signal, or `holdfast pause`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic, sleep

from sqlalchemy import select

from holdfast.execute.progress import Report, RunPaused
from holdfast.execute.session import MigrationSession
from holdfast.execute.tables import pause

LOOK_AFTER = timedelta(seconds=1)


@dataclass(kw_only=True)
class Pausing:
    """Of one run. Nothing is uncommitted when it is asked, so nothing is held meanwhile."""

    session: MigrationSession
    report: Report
    is_asked: Callable[[], bool]
    should_stop: Callable[[], bool]
    _looked: float = field(default=0.0, init=False)
    _asked_by: str | None = field(default=None, init=False)

    def wait(self) -> None:
        """Return when nobody asks for a pause, or somebody for a stop."""
        while not self.should_stop():
            by = "a signal" if self.is_asked() else self._asked_in_database()
            if by is None:
                return
            self.report(RunPaused(asked_by=by))
            sleep(LOOK_AFTER.total_seconds())

    def _asked_in_database(self) -> str | None:
        if monotonic() - self._looked >= LOOK_AFTER.total_seconds():
            self._asked_by = self.session.execute(select(pause.c.asked_by)).scalar_one_or_none()
            self.session.commit()
            self._looked = monotonic()
        return self._asked_by
