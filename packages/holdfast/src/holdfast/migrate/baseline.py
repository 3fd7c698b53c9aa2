"""Records which revision a database corresponds to that was made without holdfast, or without migrations."""

from alembic.config import Config

from holdfast.errors.migration import UnfinishedRevision
from holdfast.errors.standing import COMMAND
from holdfast.execute import history
from holdfast.execute.journal import Journal
from holdfast.execute.progress import Report, silent
from holdfast.migrate.locked_connection import LockedConnection, on_locked_connection


def baseline(config: Config, revision: str, *, report: Report = silent) -> tuple[str, ...]:
    """Write the version row of `revision` ("head", an id, "base" for none); give the heads then.

    Runs nothing of the revisions. Raises UnfinishedRevision where one is half-way.
    """

    def record(locked: LockedConnection) -> tuple[str, ...]:
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
        return heads

    return on_locked_connection(config, record, report=report)
