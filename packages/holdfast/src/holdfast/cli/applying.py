"""What `holdfast run` does when there may be something to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import click
from alembic.config import Config

from holdfast.cli.event_stream import EventStream
from holdfast.cli.interrupt import pausing, stopping
from holdfast.cli.project import ProjectOptions, translated_errors
from holdfast.cli.report import Printer
from holdfast.migrate.run import upgrade
from holdfast.migrate.status import statuses
from holdfast.preview.plan_file import departures, read_plan


def apply(
    options: ProjectOptions,
    revision: str | None,
    *,
    accept_edited: bool,
    expand: bool | None,
    plan_file: Path | None,
    form: str,
    nothing: str,
    grace: timedelta,
) -> None:
    """Apply it, with progress on stderr and the result on stdout; or all of it as a stream of JSON."""
    with (
        reporting(form) as report,
        translated_errors(),
        stopping(grace) as stop,
        pausing() as should_pause,
    ):
        config = options.config()
        planned = None if plan_file is None else read_plan(plan_file)
        # What an earlier run has begun is not done from its first step.
        begun = set() if planned is None else _half_way(config)
        upgrade(
            config,
            revision or "head",
            report=report,
            should_stop=stop.should,
            must_stop=stop.must,
            should_pause=should_pause,
            accept_edited=accept_edited,
            expand=expand,
        )
    done = {each: tuple(steps) for each, steps in report.steps.items() if each not in begun}
    departed = () if planned is None else departures(planned, done=done)
    if isinstance(report, EventStream):
        report.result(departures=[asdict(each) for each in departed])
        return
    for each in departed:
        click.echo(each)
    click.echo(report.summary(nothing=nothing))


@contextmanager
def reporting(form: str) -> Iterator[Printer | EventStream]:
    """The report of a format: text on stderr, or JSON on stdout, a failure included."""
    if form == "json":
        stream = EventStream()
        with stream.telling_failures():
            yield stream
        return
    printer = Printer()
    try:
        yield printer
    finally:
        printer.close()


def _half_way(config: Config) -> set[str]:
    return {entry.revision for each in statuses(config) for entry in each.half_way}
