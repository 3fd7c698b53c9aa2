"""Runs one revision: its function, its history, its version row, in one commit of its own."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Any

from alembic.runtime.migration import RevisionStep

from holdfast.alembic_door import Arrival, open_door
from holdfast.progress import Direction, Report, RevisionDone, RevisionStarted
from holdfast.run import history
from holdfast.run.session import MigrationSession

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionRun:
    """One revision on its way up or down."""

    step: RevisionStep
    session: MigrationSession
    report: Report
    started: float = field(default_factory=monotonic)

    @property
    def direction(self) -> Direction:
        """Which way the revision goes."""
        return "up" if self.step.is_upgrade else "down"

    def __call__(self, function: Callable[..., None], **arguments: Any) -> None:
        """Run the revision's function; what it did is committed by `commit`, with the version row."""
        revision = self.step.revision
        self.report(
            RevisionStarted(
                revision=revision.revision,
                description=revision.doc or "",
                direction=self.direction,
            )
        )
        entry = history.begin(
            self.session,
            revision=revision.revision,
            description=revision.doc or "",
            direction=self.direction,
            checksum=history.checksum_of(Path(revision.path)),
        )
        self.session.commit()
        try:
            self.session.restore_local_settings()
            with open_door(self.session, PlainKeeper()):
                function(**arguments)
            history.finish(self.session, entry)
        except BaseException as error:
            self._record_failure(entry, error)
            raise

    def commit(self) -> None:
        """Commit the revision, whatever transaction env.py has opened around all of them."""
        self.session.commit()
        self.report(
            RevisionDone(
                revision=self.step.revision.revision,
                description=self.step.revision.doc or "",
                direction=self.direction,
                took=timedelta(seconds=monotonic() - self.started),
            )
        )

    def _record_failure(self, entry: int, error: BaseException) -> None:
        try:
            self.session.rollback()
            history.fail(self.session, entry, error)
            self.session.commit()
        except Exception:  # the error on its way is the one to see, not this one
            log.warning("the failure could not be recorded in holdfast.history", exc_info=True)


class PlainKeeper:
    """Lets every statement through as it is."""

    def arrives(self, arrival: Arrival) -> bool:
        """Log it, leave it to the driver."""
        log.debug("statement: %s", arrival.sql)
        return False
