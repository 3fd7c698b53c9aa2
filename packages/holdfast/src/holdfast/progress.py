"""What a run tells while it goes on: events as data. The command line prints them, a program may count them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

Direction = Literal["up", "down"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionStarted:
    """The function of a revision is about to be called."""

    revision: str
    description: str
    direction: Direction


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionDone:
    """A revision is committed, its version row included."""

    revision: str
    description: str
    direction: Direction
    took: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingForLeader:
    """Another process migrates this database; we wait for it to end."""

    holder: str


Event = RevisionStarted | RevisionDone | WaitingForLeader
Report = Callable[[Event], None]


def silent(event: Event) -> None:
    """The report of a program that does not listen."""
