"""Prints the events of a run as they come: one line per revision and step; on a terminal one more that lives."""

import json
import sys
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING

from holdfast.execute.progress import (
    AutovacuumIsCancelled,
    BackfillMoved,
    BackfillPaused,
    Event,
    LockBusy,
    RevisionDone,
    RevisionStarted,
    RunPaused,
    StatementPlanned,
    StepDone,
    StepStarted,
    StepWatched,
    UsersWaited,
    WaitingForLeader,
)
from holdfast.execute.verdict import Reason, Verdict
from holdfast.observe.watched_step import Watched

if TYPE_CHECKING:
    from holdfast.cli.terminal import Terminal


class Printer:
    """A report that prints to stderr and keeps what the last line on stdout says."""

    def __init__(self) -> None:
        self.done: list[RevisionDone] = []
        self.terminal = _terminal() if sys.stderr.isatty() else None
        self.steps: dict[str, list[str]] = {}  # of each revision that was started

    def __call__(self, event: Event) -> None:  # noqa: C901  # one case an event, flat
        """Print one event."""
        match event:
            case WaitingForLeader(holder=holder):
                self._line(f"waiting: another process migrates: {holder}")
            case StatementPlanned(revision=revision, steps=steps):
                self.steps[revision] += [step.describe() for step in steps]
            case RevisionStarted(direction=direction, revision=revision, description=description):
                self.steps[revision] = []
                self._line(f"{direction:<4} {revision} {description} ...")
            case RevisionDone(took=took):
                self.done.append(event)
                self._line(f"     done in {seconds(took)}")
            case StepStarted():
                self._now(position(event))
            case StepDone(started=started, took=took):
                self._line(f"     {position(started)} ({seconds(took)})")
            case StepWatched(step=step, seen=seen):
                self._passing(f"{step}: {in_words(seen)}")
            case BackfillMoved(step=step, rows=rows, of=of, took=took):
                self._now(f"{step}: {rows} of about {of} rows, {left(rows, of, took)}")
            case BackfillPaused(step=step, why=why):
                self._passing(f"{step}: waiting: {why}")
            case RunPaused(asked_by=asked_by):
                self._passing(f"paused by {asked_by}: holdfast resume, or the signal again")
            case LockBusy(what=what, tries=tries, blockers=blockers):
                who = (
                    "; ".join(each.with_way_out for each in blockers) or "its holder is gone by now"
                )
                words = f"lock not free, try {tries}: {what}: {who}"
                if tries & (tries - 1) == 0:  # 1, 2, 4, 8, ..: a log must not fill up
                    self._line(f"     {words}")
                self._now(words)
            case UsersWaited(what=what, tries=tries, verdict=verdict):
                self._line(f"     ended, {reason(verdict)}; try {tries}: {what}")
            case AutovacuumIsCancelled(lock_timeout=lock_timeout):
                self._line(
                    f"     an autovacuum is in the way: waiting up to {seconds(lock_timeout)} once, "
                    "so that the server cancels it"
                )

    def close(self) -> None:
        """Take the live line away."""
        if self.terminal is not None:
            self.terminal.close()

    def summary(self, *, nothing: str) -> str:
        """What was done, for the last line."""
        if not self.done:
            return nothing
        verb = "applied" if self.done[0].direction == "up" else "reverted"
        took = sum((event.took for event in self.done), timedelta())
        revisions = ", ".join(event.revision for event in self.done)
        return f"{verb} {len(self.done)}: {revisions} ({seconds(took)})"

    def as_json(self, **more: object) -> str:
        """The same as one JSON object, and what a verb adds."""
        revisions = [{**asdict(event), "took": event.took.total_seconds()} for event in self.done]
        return json.dumps({"done": revisions, **more})

    def _line(self, words: str) -> None:
        if self.terminal is not None:
            self.terminal.print(words)
        else:
            print(words, file=sys.stderr, flush=True)

    def _now(self, words: str) -> None:
        """What goes on at this moment: nothing for a log."""
        if self.terminal is not None:
            self.terminal.now(words)

    def _passing(self, words: str) -> None:
        """A look at a long step: replaced by the next one on a terminal, a line in a log."""
        if self.terminal is not None:
            self.terminal.now(words)
        else:
            self._line(f"     {words}")


def _terminal() -> "Terminal":
    from holdfast.cli.terminal import Terminal  # loads rich, which a log does not need

    return Terminal()


def position(step: StepStarted) -> str:
    """A step with its place among the steps of its statement."""
    return f"{step.number}/{step.steps} {step.step}"


def reason(verdict: Verdict) -> str:
    """Why the guard has ended a transaction."""
    if verdict.reason is Reason.USERS:
        return f"because {verdict.who} waited {seconds(verdict.waited)} for it"
    return (
        "because nobody watched it" if verdict.reason is Reason.SILENCE else "its lock was not free"
    )


def in_words(seen: Watched) -> str:
    """A look at a long step: phase, share, whom it waits for."""
    done = "" if seen.done is None else f" {seen.done:.0%}"
    waits = f", waits for {'; '.join(seen.waits_for)}" if seen.waits_for else ""
    return f"{seen.phase}{done}{waits}"


def left(rows: int, of: int, took: timedelta) -> str:
    """An estimate of the time that a backfill still needs."""
    if not rows or of <= rows:
        return "nearly done"
    return f"about {seconds(took * ((of - rows) / rows))} left"


def seconds(duration: timedelta) -> str:
    """A duration as a person reads it: 0.03 s."""
    return f"{duration.total_seconds():.2f} s"
