"""Prints the events of a run as they come: one line per revision."""

from datetime import timedelta

import click

from holdfast.observe.watched_step import Watched
from holdfast.progress import (
    AutovacuumIsCancelled,
    Event,
    LockBusy,
    RevisionDone,
    RevisionStarted,
    StepDone,
    StepWatched,
    WaitingForLeader,
)


class Printer:
    """A report that prints to stderr and keeps what the last line says."""

    def __init__(self) -> None:
        self.done: list[RevisionDone] = []

    def __call__(self, event: Event) -> None:
        """Print one event."""
        match event:
            case WaitingForLeader(holder=holder):
                click.echo(f"waiting: another process migrates: {holder}", err=True)
            case RevisionStarted(direction=direction, revision=revision, description=description):
                click.echo(f"{direction:<4} {revision} {description} ...", err=True)
            case RevisionDone(took=took):
                self.done.append(event)
                click.echo(f"     done in {seconds(took)}", err=True)
            case StepDone(started=started, took=took):
                click.echo(
                    f"     {started.number}/{started.steps} {started.step} ({seconds(took)})",
                    err=True,
                )
            case StepWatched(step=step, seen=seen):
                click.echo(f"     {step}: {in_words(seen)}", err=True)
            case LockBusy(tries=tries) if tries & (tries - 1) == 0:  # 1, 2, 4, 8, ..
                blockers = "; ".join(map(str, event.blockers)) or "its holder is gone by now"
                click.echo(f"     lock not free, try {tries}: {event.what}: {blockers}", err=True)
            case AutovacuumIsCancelled(lock_timeout=lock_timeout):
                click.echo(
                    f"     an autovacuum is in the way: waiting up to {seconds(lock_timeout)} once, "
                    "so that the server cancels it",
                    err=True,
                )
            case _:
                pass

    def summary(self, *, nothing: str) -> str:
        """What was done, for the last line."""
        if not self.done:
            return nothing
        verb = "applied" if self.done[0].direction == "up" else "reverted"
        took = sum((event.took for event in self.done), timedelta())
        revisions = ", ".join(event.revision for event in self.done)
        return f"{verb} {len(self.done)}: {revisions} ({seconds(took)})"


def in_words(seen: Watched) -> str:
    """A look at a long step: phase, share, whom it waits for."""
    done = "" if seen.done is None else f" {seen.done:.0%}"
    waits = f", waits for {'; '.join(seen.waits_for)}" if seen.waits_for else ""
    return f"{seen.phase}{done}{waits}"


def seconds(duration: timedelta) -> str:
    """A duration as a person reads it: 0.03 s."""
    return f"{duration.total_seconds():.2f} s"
