"""Runs `holdfast run` once the quick look has not shown that there is nothing to do."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click
from alembic.config import Config

from holdfast.cli.event_stream import EventStream
from holdfast.cli.interrupt import pausing, stopping
from holdfast.cli.project import ProjectOptions, translated_errors
from holdfast.cli.report import Printer
from holdfast.migrate.run import upgrade

if TYPE_CHECKING:
    from holdfast.preview.plan_file import Departure


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
    """Apply what is pending, with progress on stderr and the result on stdout; or all of it as a stream of JSON."""
    with (
        reporting(form) as report,
        translated_errors(),
        stopping(grace) as stop,
        pausing() as should_pause,
    ):
        config = options.config()
        departed_from = _kept_plan(plan_file, config)
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
    departed = departed_from(report.steps)
    if isinstance(report, EventStream):
        report.result(departures=[asdict(each) for each in departed])
        return
    for each in departed:
        click.echo(each)
    click.echo(report.summary(nothing=nothing))


@contextmanager
def reporting(form: str) -> Iterator[Printer | EventStream]:
    """Give the report for a format: text on stderr, or JSON on stdout, a failure included."""
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


def _kept_plan(
    file: Path | None, config: Config
) -> "Callable[[Mapping[str, Sequence[str]]], tuple[Departure, ...]]":
    """List where a run has departed from the plan in a file, by its steps; nothing where there is no file."""
    if file is None:
        return lambda _: ()
    from holdfast.migrate.status import statuses  # loads what an empty database does not need
    from holdfast.preview.plan_file import departures, read_plan

    planned = read_plan(file)
    # A revision that an earlier run has begun is not done from its first step.
    begun = {entry.revision for each in statuses(config) for entry in each.half_way}

    def departed(steps: Mapping[str, Sequence[str]]) -> "tuple[Departure, ...]":
        done = {each: tuple(words) for each, words in steps.items() if each not in begun}
        return departures(planned, done=done)

    return departed
