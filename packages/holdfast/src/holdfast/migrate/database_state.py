"""Decides which state a database is in, from what is recorded in it and the project's revisions. Pure.

The one table of states: `status` prints it, its exit status is the record's, `run` and `revert` act as it says. The
same table for people: docs/exit-statuses.md.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol

from holdfast.errors import HoldfastError
from holdfast.errors.standing import COMMAND
from holdfast.execute.progress import Direction


@dataclass(frozen=True, slots=True, kw_only=True)
class _Record:
    exit_status: int  # of `holdfast status`
    says: str  # the first line of `holdfast status`


class State(Enum):
    """The states that a database can be in, the most urgent first."""

    MIGRATING = _Record(
        exit_status=7, says="migrating: a run is at work; holdfast run waits for it"
    )
    AHEAD = _Record(
        exit_status=4, says="ahead: the database has revisions that this project does not know"
    )
    REFUSED = _Record(exit_status=3, says="refused: {command} would stop before it begins")
    EDITED = _Record(
        exit_status=6,
        says="edited: a file is not the one that was applied; restore it, write a new revision",
    )
    HALF_WAY = _Record(
        exit_status=5,
        says="half-way: {attempt} is begun and recorded, not all of it is done; {command} {goes_on}",
    )
    FAILED = _Record(
        exit_status=1,
        says="pending: {attempt} {ended}, nothing of it is under way; {command} tries again",
    )
    PENDING = _Record(exit_status=1, says="pending: holdfast run applies the revisions below")
    REVERT_FAILED = _Record(
        exit_status=0,
        says="up to date: {attempt} {ended}, nothing of it is under way; {command} tries again",
    )
    UP_TO_DATE = _Record(exit_status=0, says="up to date")


class RecordedAttempt(Protocol):
    """The last thing that happened to a revision, by the history."""

    @property
    def revision(self) -> str:
        """The identifier of the revision."""

    @property
    def direction(self) -> Direction:
        """Which way the revision went: up or down."""

    @property
    def outcome(self) -> str:
        """How it ended: running, done, failed or interrupted."""

    @property
    def started_at(self) -> datetime:
        """When the attempt began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfWay:
    """The revision of which part is done and recorded."""

    revision: str
    direction: Direction


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseFacts:
    """Everything that decides the state of a database."""

    pending: tuple[str, ...] = ()  # revisions of the project that are not applied
    applied: frozenset[str] = frozenset()  # revisions of the project that are
    unknown: tuple[str, ...] = ()  # the database is at them, the project has no file
    edited: tuple[str, ...] = ()
    half_way: HalfWay | None = None
    attempts: tuple[RecordedAttempt, ...] = ()  # the last one of each revision
    is_migrating: bool = False  # somebody holds the lock of migrators
    refusal: HoldfastError | None = None  # with which `run` would stop before it begins


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseState:
    """The state of a database, with the words and exit status that report it."""

    state: State
    says: str
    exit_status: int
    refusal: HoldfastError | None = None


def database_state(facts: DatabaseFacts) -> DatabaseState:
    """Give the most urgent state. A refusal has the exit status that `run` would have."""
    failed = failed_attempts(facts)
    state = _state(facts, failed)
    refusal = None if state is State.MIGRATING else facts.refusal
    told = facts.half_way or (failed[0] if failed else None)
    direction: Direction = "up" if told is None else told.direction
    words = {
        "attempt": "" if told is None else _attempt(told.revision, direction),
        "ended": _ended(failed[0]) if failed else "",
        "command": COMMAND[direction],
        "goes_on": "goes on where it stopped"
        if refusal is None
        else "would stop before it goes on",
    }
    return DatabaseState(
        state=state,
        says=state.value.says.format(**words),
        exit_status=state.value.exit_status if refusal is None else refusal.exit_status,
        refusal=refusal,
    )


def failed_attempts(facts: DatabaseFacts) -> tuple[RecordedAttempt, ...]:
    """Give attempts that failed and left nothing: at a pending revision, or the newest of all, a revert."""
    newest = max(facts.attempts, key=lambda attempt: attempt.started_at, default=None)
    return tuple(
        attempt
        for attempt in facts.attempts
        if attempt.outcome != "done"
        and not (facts.is_migrating and attempt.outcome == "running")  # it is under way
        and (facts.half_way is None or attempt.revision != facts.half_way.revision)
        and (
            (attempt.direction == "up" and attempt.revision in facts.pending)
            or (attempt is newest and attempt.revision in facts.applied)
        )
    )


def _state(facts: DatabaseFacts, failed: tuple[RecordedAttempt, ...]) -> State:
    if facts.is_migrating:
        return State.MIGRATING
    if facts.unknown:
        return State.AHEAD
    if facts.edited:
        return State.EDITED
    if facts.half_way:
        return State.HALF_WAY
    if facts.refusal:
        return State.REFUSED
    if facts.pending:
        return State.FAILED if failed and failed[0].direction == "up" else State.PENDING
    return State.REVERT_FAILED if failed else State.UP_TO_DATE


def _attempt(revision: str, direction: Direction) -> str:
    return f"revision {revision}" if direction == "up" else f"the revert of {revision}"


def _ended(attempt: RecordedAttempt) -> str:
    return "failed" if attempt.outcome == "failed" else "was killed"
