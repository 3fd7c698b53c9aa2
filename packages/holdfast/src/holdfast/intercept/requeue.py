"""Undoes and requeues what was executed only because the function looked at the catalog, if nothing else was done.

A function that asks whether a type is there must find it renamed; what it was renamed for is planned as a whole.
"""

from dataclasses import dataclass

from holdfast.execute.session import LocalSetting, MigrationSession
from holdfast.intercept.revision_queue import RevisionQueue, WaitingStatement
from holdfast.intercept.route import RevisionState
from holdfast.rewrite.statement import shortened

SAVEPOINT = "holdfast_looked"


@dataclass(frozen=True, slots=True, kw_only=True)
class BeforeLook:
    """The state of the open transaction before the first look, and what was executed for looks since then."""

    state: RevisionState
    executed: tuple[str, ...]
    settings: tuple[LocalSetting, ...]
    statements: tuple[WaitingStatement, ...] = ()

    def can_wait_again(self, state: RevisionState, queue: RevisionQueue) -> bool:
        """Whether the open transaction has done nothing else since the first look."""
        since = tuple(shortened(text) for each in self.statements for text in each.texts)
        return (
            tuple(queue.executed) == (*self.executed, *since)
            and queue.settings.in_force() == self.settings
            and not (state.savepoints or state.is_single or state.has_driver)
            and state.wrote == self.state.wrote
            and not queue.replay.unrepeatable
        )


def set_savepoint(
    session: MigrationSession, state: RevisionState, queue: RevisionQueue
) -> BeforeLook:
    """Set a savepoint to which the open transaction can go back."""
    session.restore_local_settings()  # before it, so that they outlive the way back
    session.execute_sql(f"SAVEPOINT {SAVEPOINT}")
    return BeforeLook(
        state=state, executed=tuple(queue.executed), settings=queue.settings.in_force()
    )


def undo_and_requeue(session: MigrationSession, before: BeforeLook, queue: RevisionQueue) -> None:
    """Undo what was executed since the savepoint, and queue it again in front of what already waits."""
    session.execute_sql(f"ROLLBACK TO SAVEPOINT {SAVEPOINT}")
    queue.wait_again(before.statements)
