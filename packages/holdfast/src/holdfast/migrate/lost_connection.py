"""Recognises a lost connection, whatever error it shows as, and says what of the run is known to be done."""

from dataclasses import dataclass, field

from sqlalchemy.exc import DBAPIError

from holdfast.errors import HoldfastError
from holdfast.errors.connection import ConnectionLost
from holdfast.errors.sqlstate import sqlstate
from holdfast.execute.progress import (
    BackfillMoved,
    Event,
    Report,
    RevisionDone,
    RevisionStarted,
    StatementsDone,
    StepDone,
)

ENDS_SESSION = ("57P", "08")  # classes of SQLSTATE
COMMITS = (BackfillMoved, RevisionDone, StatementsDone, StepDone)
DRIVERS = ("psycopg", "psycopg2", "asyncpg")
WITHOUT_SQLSTATE = ("OperationalError", "InterfaceError", "ConnectionDoesNotExistError")


@dataclass(kw_only=True)
class RunSoFar:
    """What a run has reported: the revisions that are done, and the last step of the current one."""

    report: Report
    done: list[str] = field(default_factory=list)
    under_way: str | None = None
    last_step: str | None = None
    committed: int = 0  # events that tell of a commit

    def __call__(self, event: Event) -> None:
        """Note an event, and pass it on."""
        self.committed += isinstance(event, COMMITS)
        match event:
            case RevisionStarted(revision=revision):
                self.under_way, self.last_step = revision, None
            case RevisionDone(revision=revision):
                self.done.append(revision)
                self.under_way = self.last_step = None
            case StepDone(started=started):
                self.last_step = started.step
        self.report(event)

    def __str__(self) -> str:
        words = "This run has completed no revision." if not self.done else ""
        if self.done:
            words = f"This run has completed {', '.join(self.done)}."
        if self.under_way is not None:
            words += f" Revision {self.under_way} was under way"
            words += f"; its last step that is done: {self.last_step}." if self.last_step else "."
        return f"{words} Whether a COMMIT that was just sent has arrived, the database knows: holdfast status."


def lost_connection(error: BaseException, *, standing: str) -> ConnectionLost | None:
    """Give the error if a connection was lost anywhere in the chain of causes; None otherwise."""
    if isinstance(error, HoldfastError):
        return None
    from holdfast.rewrite.statement import shortened  # loads the parser

    below = causes(error)
    found = next((each for each in below if _is_lost(each)), None)
    if found is None:
        return None
    sent = next(
        (each.statement for each in below if isinstance(each, DBAPIError) and each.statement), None
    )
    said = str(found.orig if isinstance(found, DBAPIError) else found).strip().splitlines()
    return ConnectionLost(
        said=said[0] if said else type(found).__name__,
        statement=shortened(sent or "COMMIT or ROLLBACK"),
        standing=standing,
    )


def causes(error: BaseException) -> tuple[BaseException, ...]:
    """Give the error and its causes, first cause first; of SQLAlchemy's pairs only the wrapper."""
    found: list[BaseException] = []
    seen: set[int] = set()  # an error that is raised once more may stand below itself
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        seen.add(id(at))
        found.insert(0, at)
        cause = at.__cause__ or at.__context__
        is_wrapper = isinstance(at, DBAPIError) and cause is at.orig
        at = cause.__context__ if is_wrapper and cause is not None else cause
    return tuple(found)


def _is_lost(error: BaseException) -> bool:
    """Whether a connection was lost, rather than never made: that is explained by what was tried."""
    if isinstance(error, DBAPIError):
        was_there = error.connection_invalidated or error.statement is not None
        return was_there and (error.connection_invalidated or _ends_session(error))
    return type(error).__module__.partition(".")[0] in DRIVERS and _ends_session(error)


def _ends_session(error: BaseException) -> bool:
    state = sqlstate(error)
    if state is not None:
        return state.startswith(ENDS_SESSION)
    original = error.orig if isinstance(error, DBAPIError) else error
    return type(original).__name__ in WITHOUT_SQLSTATE
