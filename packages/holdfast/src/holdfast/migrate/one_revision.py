"""One revision on its way up or down: what is common to all databases, and the case of one that nobody uses."""

from collections.abc import Callable, Mapping
from dataclasses import field
from datetime import timedelta
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

from alembic.ddl.impl import DefaultImpl
from alembic.runtime.migration import MigrationContext, RevisionStep
from sqlalchemy.exc import DBAPIError

from holdfast.errors.light_dataclass import light_dataclass
from holdfast.execute import history
from holdfast.execute.progress import Direction, RevisionDone, RevisionStarted
from holdfast.execute.session import MigrationSession
from holdfast.intercept.fresh import apply_to_fresh
from holdfast.migrate.run_options import RunOptions
from holdfast.migrate.version_rows import is_without_version_row, lost_version_row


@light_dataclass
class RunContext:
    """What all revisions of one run share."""

    session: MigrationSession
    alembic: MigrationContext
    options: RunOptions
    entries: dict[str, history.HistoryEntry]  # how each revision ended the last time
    version_schema: str  # in which the version table is
    # The statements that write the version rows, by revision: those that Alembic does not write itself.
    version_rows: Mapping[str, str] = field(default_factory=dict)

    @property
    def impl(self) -> DefaultImpl:
        """Alembic's implementation for the database."""
        return self.alembic.impl


@light_dataclass
class OneRevision:
    """One revision of a run. `apply` does everything but the version row."""

    step: RevisionStep
    context: RunContext
    started: float = field(default_factory=monotonic)

    @property
    def direction(self) -> Direction:
        """Which way the revision goes."""
        return "up" if self.step.is_upgrade else "down"

    @property
    def name(self) -> str:
        """The identifier of the revision."""
        return self.step.revision.revision

    @property
    def database(self) -> str:
        """The name of the database that is changed, as env.py may go through several."""
        return self.context.session.migration.engine.url.database or ""

    def __call__(self, function: Callable[..., None], **arguments: Any) -> None:
        """Do everything but the version row; `commit` follows once that is written."""
        self.context.options.report(
            RevisionStarted(
                revision=self.name,
                description=self.step.revision.doc or "",
                direction=self.direction,
                database=self.database,
            )
        )
        begun = history.Begun(
            revision=self.name,
            description=self.step.revision.doc or "",
            direction=self.direction,
            checksum=history.checksum_of(Path(self.step.revision.path)),
        )
        self.apply(function, arguments, begun)

    def apply(
        self, function: Callable[..., None], arguments: dict[str, Any], begun: history.Begun
    ) -> None:
        """Apply the revision, and write its entry in the history."""
        raise NotImplementedError

    def commit(self) -> None:
        """Commit the revision, whatever transaction env.py has opened around all of them."""
        self.context.session.commit()
        self.committed()
        self.context.options.report(
            RevisionDone(
                revision=self.name,
                description=self.step.revision.doc or "",
                direction=self.direction,
                took=timedelta(seconds=monotonic() - self.started),
                database=self.database,
            )
        )

    def committed(self) -> None:
        """Do what follows the commit."""


@light_dataclass
class FreshRevision(OneRevision):
    """One revision of a database that nobody uses: it runs as written, in one transaction."""

    def apply(
        self, function: Callable[..., None], arguments: dict[str, Any], begun: history.Begun
    ) -> None:
        """Apply it, with its history entry at the end."""
        apply_to_fresh(
            self.context.session,
            partial(function, **arguments),
            begun,
            version_row=self.context.version_rows.get(self.name, ""),
        )

    def commit(self) -> None:
        """Commit it; raise if the version row that it replaces is not there any more."""
        try:
            OneRevision.commit(self)
        except DBAPIError as error:
            if self.name in self.context.version_rows and is_without_version_row(error):
                raise lost_version_row(self.context.alembic, self.name) from error
            raise
