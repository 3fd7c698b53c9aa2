"""A run in the background of a test, with what it reports."""

import threading
from datetime import timedelta

from alembic_project import Project

from holdfast.execute.progress import Event, LockBusy, StepStarted
from holdfast.migrate.run import upgrade

PATIENCE = timedelta(seconds=60)


class BackgroundRun:
    """An upgrade to the head, in a thread."""

    def __init__(self, project: Project, *, lock_budget: timedelta = PATIENCE) -> None:
        self.project, self.lock_budget = project, lock_budget
        self.events: list[Event] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._upgrade, daemon=True)
        self._thread.start()

    def _upgrade(self) -> None:
        try:
            upgrade(
                self.project.config,
                "head",
                report=self.events.append,
                lock_budget=self.lock_budget,
            )
        except BaseException as error:  # noqa: BLE001  # raised by `end`
            self._error = error

    def end(self) -> None:
        """Returns when it has done its work, or raises what it raised."""
        self._thread.join(PATIENCE.total_seconds())
        if self._error is not None:
            raise self._error
        assert not self._thread.is_alive(), self.events

    @property
    def busy(self) -> list[LockBusy]:
        """The tries that found a lock not free."""
        return [event for event in self.events if isinstance(event, LockBusy)]

    def has_started(self, step: str) -> bool:
        """Whether a step of this description is under way or done."""
        return any(isinstance(event, StepStarted) and event.step == step for event in self.events)
