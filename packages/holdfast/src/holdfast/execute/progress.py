"""The events that a run reports, as data. The command line prints them; a program may count them."""

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from holdfast.errors.light_dataclass import light_dataclass
from holdfast.execute.verdict import GuardVerdict

if TYPE_CHECKING:  # what a run on an empty database never tells
    from holdfast.observe.blockers import Blocker
    from holdfast.observe.watched_step import Watched
    from holdfast.rewrite.steps import Step

Direction = Literal["up", "down"]


@light_dataclass
class RevisionStarted:
    """The function of a revision is about to be called."""

    revision: str
    description: str
    direction: Direction
    database: str = ""  # its name


@light_dataclass
class RevisionDone:
    """A revision is committed, its version row included."""

    revision: str
    description: str
    direction: Direction
    took: timedelta
    database: str = ""  # its name


@light_dataclass
class WaitingForLeader:
    """Another process migrates this database; we wait for it to end."""

    holder: str


@light_dataclass
class StatementPlanned:
    """A statement of a revision is about to be executed in these steps, or in the revision's transaction."""

    revision: str
    sql: str
    steps: "tuple[Step, ...]"
    is_queued: bool
    is_allowed: bool = False  # users may wait for it, says its author in a comment


@light_dataclass
class StatementsUndone:
    """The last statements that were executed at once are undone: they wait, or are forgotten."""

    revision: str
    statements: int


@light_dataclass
class StatementsDone:
    """Statements that the revision's function has executed in one transaction are committed."""

    revision: str
    number: int  # of the first of them, among the revision's steps
    steps: int  # of the revision, as far as they are known
    statements: tuple[str, ...]
    may_be_more: bool = False  # the revision's function has not ended, and may do more


@light_dataclass
class RevisionResumed:
    """A run continues what an earlier one has begun."""

    revision: str
    number: int  # of the step at which it goes on; more than `steps` where all are done
    steps: int
    may_be_more: bool = False


@light_dataclass
class StepsRecounted:
    """A revision has more or fewer steps than were expected earlier."""

    revision: str
    steps: int
    expected: int


@light_dataclass
class RowsRead:
    """The revision's function asks for rows, and may act differently on different data."""

    revision: str
    sql: str


@light_dataclass
class DiskNeeded:
    """The queue needs about that many more bytes of disk; `free` are free, None if nobody knows."""

    revision: str
    bytes: int
    free: int | None


@light_dataclass
class StepStarted:
    """A step of a queue begins."""

    revision: str
    number: int  # of the revision's steps, from 1, as in its plan
    steps: int  # of the revision, as far as they are known
    step: str
    may_be_more: bool = False  # the revision's function has not ended, and may do more


@light_dataclass
class StepDone:
    """A step is done and recorded, or was found done."""

    started: StepStarted
    took: timedelta


@light_dataclass
class StepWatched:
    """A long step is being watched: how far it is, and whom it waits for."""

    step: str
    seen: "Watched"


@light_dataclass
class BackfillMoved:
    """A batch of a backfill is committed: how far the backfill is."""

    step: str
    rows: int  # written so far by this run
    of: int  # the server's estimate of the table
    took: timedelta  # so far


@light_dataclass
class BackfillPaused:
    """The next batch waits: for a replica, an archiver of WAL, a vacuum of the table."""

    step: str
    why: str


@light_dataclass
class RunPaused:
    """The run waits between two steps or batches, because somebody has asked for that."""

    asked_by: str


@light_dataclass
class LockBusy:
    """A lock was not free; everything is rolled back, and tried again after a pause."""

    what: str
    tries: int
    blockers: "tuple[Blocker, ...]"


@light_dataclass
class AutovacuumIsCancelled:
    """The next try waits longer than deadlock_timeout, so that the server cancels an autovacuum."""

    what: str
    lock_timeout: timedelta


@light_dataclass
class UsersWaited:
    """A unit was ended because users waited for it, or nobody watched whether they do; it is tried again."""

    what: str
    tries: int
    verdict: GuardVerdict


@light_dataclass
class StandbyReadersUnseen:
    """Standbys follow this server, and no setting says how to ask them who reads there."""

    standbys: int
    hidden: int  # of these: this role does not see how far they are


@light_dataclass
class StandbyNotAsked:
    """A standby of HOLDFAST_STANDBYS did not answer; the run goes on without it."""

    standby: str
    problem: str


@light_dataclass
class PoolerNotTold:
    """A pooler's admin console did not take RECONNECT after a change of shape; the run goes on."""

    pooler: str
    problem: str


@light_dataclass
class NoGuardBehindPooler:
    """The run goes through a pooler, with a lease: nobody watches whether users wait."""


@light_dataclass
class LagUnseen:
    """A backfill does not wait for some standbys: this role cannot see how far they are behind."""

    standbys: int
    role: str


Event = (
    RevisionStarted
    | RevisionDone
    | WaitingForLeader
    | StatementPlanned
    | StatementsUndone
    | StatementsDone
    | RevisionResumed
    | StepsRecounted
    | RowsRead
    | DiskNeeded
    | StepStarted
    | StepDone
    | StepWatched
    | BackfillMoved
    | BackfillPaused
    | LockBusy
    | AutovacuumIsCancelled
    | UsersWaited
    | RunPaused
    | StandbyReadersUnseen
    | StandbyNotAsked
    | LagUnseen
    | NoGuardBehindPooler
    | PoolerNotTold
)
Report = Callable[[Event], None]


def silent(event: Event) -> None:
    """Ignore every event: for programs that do not listen."""
