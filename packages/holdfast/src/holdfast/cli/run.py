"""`holdfast run`: applies what is pending, online."""

from dataclasses import asdict
from pathlib import Path

import click

from holdfast import migrate
from holdfast.cli.interrupt import stopping_between_steps
from holdfast.cli.plan import show
from holdfast.cli.project import FORMAT, ProjectOptions, told_apart
from holdfast.cli.report import Printer
from holdfast.errors.migration import TwoHeads
from holdfast.forecast import forecast
from holdfast.history_files import open_history
from holdfast.plan_file import departures, read_plan
from holdfast.status import status


@click.command()
@click.option("--to", "revision", help="Stop after this revision. Default: the head.")
@click.option("--dry-run", is_flag=True, help="Show the plan instead: holdfast plan.")
@click.option("--accept-edited", is_flag=True, help="Applied files may have been edited since.")
@click.option(
    "--plan",
    "plan_file",
    type=click.Path(path_type=Path),
    help="What `holdfast plan --format json` has printed: say where the run differed from it.",
)
@FORMAT
@click.pass_obj
def run(
    options: ProjectOptions,
    revision: str | None,
    dry_run: bool,
    accept_edited: bool,
    plan_file: Path | None,
    form: str,
) -> None:
    """Apply the pending revisions, each in a commit of its own.

    A run that was killed or stopped goes on where it was.
    """
    if dry_run:
        with told_apart():
            found = forecast(options.config(), revision or "heads")
        show(found, form)
        return
    printer = Printer()
    with told_apart(), stopping_between_steps() as should_stop:
        config = options.config()
        planned = None if plan_file is None else read_plan(plan_file)
        # What an earlier run has begun is not done from its first step.
        begun = set() if planned is None else {entry.revision for entry in status(config).half_way}
        if revision is None:
            heads = tuple(open_history(config).get_heads())
            if len(heads) > 1:
                raise TwoHeads(heads=heads)
        try:
            migrate.upgrade(
                config,
                revision or "head",
                report=printer,
                should_stop=should_stop,
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
    click.echo(printer.summary(nothing="up to date: nothing is pending"))
