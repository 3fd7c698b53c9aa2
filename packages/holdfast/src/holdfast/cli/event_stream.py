"""The events of a run as JSON, one object a line on stdout, as they come; the last is the result or the failure."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from time import monotonic

import click

from holdfast.errors import HoldfastError, with_options
from holdfast.execute.progress import (
    BackfillMoved,
    BackfillPaused,
    Event,
    LockBusy,
    RevisionDone,
    RevisionStarted,
    RunPaused,
    StatementPlanned,
    StepWatched,
    WaitingForLeader,
)

EVERY = timedelta(seconds=1)  # of what is told again and again: each kind of event at most
REPEATED = (BackfillMoved, BackfillPaused, LockBusy, RunPaused, StepWatched, WaitingForLeader)


class EventStream:
    """A report that writes each event as a line of JSON, and keeps what the result says."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self.done: list[RevisionDone] = []
        self.steps: dict[str, list[str]] = {}  # of each revision that was started
        self.clock = clock
        self.out = sys.stdout  # as it is now: what env.py prints goes elsewhere
        self._last: dict[type[Event], float] = {}

    def __call__(self, event: Event) -> None:
        """Write one event as a line, unless one of its kind was written a moment ago."""
        match event:
            case RevisionStarted(revision=revision):
                self.steps[revision] = []
            case StatementPlanned(revision=revision, steps=steps):
                self.steps[revision] += [step.describe() for step in steps]
            case RevisionDone():
                self.done.append(event)
        if not isinstance(event, REPEATED) or self._is_due(type(event)):
            self._write(as_event(event))

    def close(self) -> None:
        """Do nothing: a stream of lines holds nothing open."""

    def result(self, **more: object) -> None:
        """Write the last line of a run that has succeeded."""
        self._write({"event": "result", "done": [plain(each) for each in self.done], **more})

    @contextmanager
    def telling_failures(self) -> Iterator[None]:
        """Write the last line of a run that has failed: the error in its three parts, and what was done."""
        try:
            yield
        except HoldfastError as error:
            what, why, remedy = (with_options(part, error.options) for part in error.parts())
            self._failed(type(error).__name__, what, why, remedy, error.exit_status)
            raise
        except BaseException as error:
            notes = getattr(error, "__notes__", [])
            self._failed(
                type(error).__name__, str(error), "".join(notes[:1]), "".join(notes[-1:]), 3
            )
            raise

    def _failed(self, error: str, what: str, why: str, remedy: str, exit_status: int) -> None:
        self._write(
            {
                "event": "failed",
                "error": error,
                "what": what,
                "why": why,
                "remedy": remedy,
                "exit_status": exit_status,
                "done": [plain(each) for each in self.done],
            }
        )

    def _is_due(self, kind: type[Event]) -> bool:
        now = self.clock()
        if now - self._last.get(kind, 0.0) < EVERY.total_seconds():
            return False
        self._last[kind] = now
        return True

    def _write(self, line: dict[str, object]) -> None:
        click.echo(json.dumps(line), file=self.out)


def as_event(event: Event) -> dict[str, object]:
    """Give an event as JSON: its name, as in `step_done`, and its fields; durations in seconds, times as ISO 8601."""
    name = "".join(f"_{c.lower()}" if c.isupper() else c for c in type(event).__name__)
    more = {}
    if isinstance(event, StatementPlanned):
        from holdfast.rewrite.steps import (
            to_json,  # loads pydantic, which an empty database does not need
        )

        more = {"steps": json.loads(to_json(event.steps))}
    return {"event": name.removeprefix("_"), **plain_fields(event), **more}


def plain_fields(value: object) -> dict[str, object]:
    """Give the fields of a dataclass as values that JSON has."""
    assert is_dataclass(value)  # noqa: S101  # events and what is in them
    return {field.name: plain(getattr(value, field.name)) for field in fields(value)}


def plain(value: object) -> object:
    """Turn a value of an event into one that JSON has."""
    match value:
        case timedelta():
            return value.total_seconds()
        case datetime():
            return value.isoformat()
        case Enum():
            return value.value
        case tuple() | list():
            return [plain(each) for each in value]
        case _ if is_dataclass(value):
            return plain_fields(value)
        case _:
            return value
