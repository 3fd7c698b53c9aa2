"""Prints the events of a run as they come: one line per revision."""

from datetime import timedelta

import click

from holdfast.progress import Event, RevisionDone, RevisionStarted, WaitingForLeader


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

    def summary(self, *, nothing: str) -> str:
        """What was done, for the last line."""
        if not self.done:
            return nothing
        verb = "applied" if self.done[0].direction == "up" else "reverted"
        took = sum((event.took for event in self.done), timedelta())
        revisions = ", ".join(event.revision for event in self.done)
        return f"{verb} {len(self.done)}: {revisions} ({seconds(took)})"


def seconds(duration: timedelta) -> str:
    """A duration as a person reads it: 0.03 s."""
    return f"{duration.total_seconds():.2f} s"
