"""What a keeper of the door works for and with, and where an earlier call of the function has ended."""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from holdfast.plan.new_relations import NewRelations
from holdfast.run.executor import Executor
from holdfast.run.journal import Journal, Unfinished
from holdfast.run.recorded import Call
from holdfast.run.session import MigrationSession


@dataclass(frozen=True, slots=True, kw_only=True)
class Undertaking:
    """The same for every try of a revision's function."""

    session: MigrationSession
    journal: Journal
    executor: Executor
    revision: Unfinished  # as it is recorded when something of it is committed
    file: Path
    today: date
    tried_before: bool  # an earlier run of this revision was killed
    lock_timeout_of_rows: timedelta  # the session's own, for statements that only wait for rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupted:
    """Where an earlier call of the function was interrupted, after it had committed something."""

    new: NewRelations
    committed: tuple[str, ...]
    calls: tuple[Call, ...]
