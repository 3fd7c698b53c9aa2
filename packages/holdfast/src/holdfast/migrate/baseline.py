"""Records the revision of a database that was made without holdfast, or without migrations."""

from dataclasses import dataclass

from alembic.config import Config

from holdfast.errors.standing import COMMAND
from holdfast.errors.unfinished import UnfinishedRevision
from holdfast.execute import history
from holdfast.execute.journal import Journal
from holdfast.execute.progress import Report, silent
from holdfast.migrate.locked_connection import LockedConnection, on_every_locked_pass
from holdfast.migrate.version_table import version_table_of


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedBaseline:
    """The revisions that a version table holds after a baseline."""

    database: str
    version_table: str  # schema and name
    heads: tuple[str, ...]


def baseline(
    config: Config, revision: str, *, report: Report = silent
) -> tuple[RecordedBaseline, ...]:
    """Write the version row of `revision` ("head", an id, "base" for none) in each database of the project.

    Runs nothing of the revisions. Raises UnfinishedRevision where one is half-way.
    """

    def record(locked: LockedConnection) -> RecordedBaseline:
        if (found := Journal(locked.session).unfinished()) is not None:
            raise UnfinishedRevision(
                revision=found.revision, direction=found.direction, finish=COMMAND[found.direction]
            )
        locked.session.restore_local_settings()
        locked.context.stamp(locked.script, revision)
        heads = tuple(locked.context.get_current_heads())
        entry = history.begin(
            locked.session,
            history.Begun(
                revision=", ".join(heads) or "base",
                description="baseline",
                direction="up",
                checksum=history.NO_FILE,
            ),
        )
        history.finish(locked.session, entry)
        return RecordedBaseline(
            database=locked.database.name,
            version_table=version_table_of(locked.session, locked.context),
            heads=heads,
        )

    return on_every_locked_pass(config, record, report=report)
