"""What `holdfast run` does when there may be something to do."""

from dataclasses import asdict
from pathlib import Path

import click
from alembic.config import Config

from holdfast.cli.interrupt import pausing_between_steps, stopping_between_steps
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
    plan_file: Path | None,
    form: str,
    nothing: str,
) -> None:
    """Apply it, with progress on stderr and the result on stdout."""
    printer = Printer()
    with (
        translated_errors(),
        stopping_between_steps() as should_stop,
        pausing_between_steps() as should_pause,
    ):
        config = options.config()
        planned = None if plan_file is None else read_plan(plan_file)
        # What an earlier run has begun is not done from its first step.
        begun = set() if planned is None else _half_way(config)
        try:
            upgrade(
                config,
                revision or "head",
                report=printer,
                should_stop=should_stop,
                should_pause=should_pause,
                accept_edited=accept_edited,
            )
        finally:
            printer.close()
    done = {each: tuple(steps) for each, steps in printer.steps.items() if each not in begun}
    departed = () if planned is None else departures(planned, done=done)
    if form == "json":
        click.echo(printer.as_json(departures=[asdict(each) for each in departed]))
        return
    for each in departed:
        click.echo(each)
    click.echo(printer.summary(nothing=nothing))


def _half_way(config: Config) -> set[str]:
    return {entry.revision for each in statuses(config) for entry in each.half_way}
