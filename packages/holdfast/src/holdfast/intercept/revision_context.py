"""What every call of a revision's function shares, and where an earlier call was interrupted."""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from holdfast.execute.executor import Executor
from holdfast.execute.journal import Journal, Unfinished
from holdfast.execute.result_json import Call
from holdfast.execute.session import MigrationSession
from holdfast.rewrite.facts import NewRelations, Releases
from holdfast.rewrite.waiting import Recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionContext:
    """What stays the same for every try of a revision's function."""

    session: MigrationSession
    journal: Journal
    executor: Executor
    revision: Unfinished  # as it is recorded when something of it is committed
    file: Path
    today: date
    tried_before: bool  # an earlier run of this revision was killed
    free_disk: int | None  # in bytes, as somebody has said
    lock_timeout_of_rows: timedelta  # the session's own, for statements that only wait for rows
    releases: Releases = Releases.ONE  # that the revision has to do with
    recorded: tuple[Recorded, ...] = ()  # what waits for `finish`
    recorded_by_others: tuple[Recorded, ...] = ()  # in the other version tables of the database


@dataclass(frozen=True, slots=True, kw_only=True)
class InterruptedCall:
    """The record of an earlier call of the function that was interrupted after a commit."""

    new: NewRelations
    now: str  # that its units have had, as PostgreSQL writes it; '' where there was none
    committed: tuple[str, ...]
    calls: tuple[Call, ...]
