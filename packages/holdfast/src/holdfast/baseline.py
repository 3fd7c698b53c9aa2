"""Records which revision a database corresponds to that was made without holdfast, or without migrations."""

from alembic.config import Config

from holdfast.errors.migration import UnfinishedRevision
from holdfast.leading import Led, as_leader
from holdfast.progress import Report, silent
from holdfast.run import history
from holdfast.run.journal import Journal


def baseline(config: Config, revision: str, *, report: Report = silent) -> tuple[str, ...]:
    """Write the version row of `revision` ("head", an id, "base" for none); give the heads then.

    Runs nothing of the revisions. Raises UnfinishedRevision where one is half-way.
    """

    def record(led: Led) -> tuple[str, ...]:
        if (found := Journal(led.session).unfinished()) is not None:
            raise UnfinishedRevision(revision=found.revision, direction=found.direction)
        led.session.restore_local_settings()
        led.context.stamp(led.script, revision)
        heads = tuple(led.context.get_current_heads())
        entry = history.begin(
            led.session,
            history.Begun(
                revision=", ".join(heads) or "base",
                description="baseline",
                direction="up",
                checksum=history.NO_FILE,
            ),
        )
        history.finish(led.session, entry)
        return heads

    return as_leader(config, record, report=report)
