"""`holdfast revert`: takes applied revisions back, online."""

import click

from holdfast.cli.interrupt import pausing_between_steps, stopping_between_steps
from holdfast.cli.project import FORMAT, ProjectOptions, translated_errors
from holdfast.cli.report import Printer
from holdfast.migrate.run import downgrade


@click.command()
@click.option("-n", "count", type=click.IntRange(min=1), help="How many revisions. Default: one.")
@click.option("--to", "revision", help="Down to this revision, which stays; `base` takes all back.")
@FORMAT
@click.pass_obj
def revert(options: ProjectOptions, count: int | None, revision: str | None, form: str) -> None:
    """Take back the last revision, or several, each in a commit of its own."""
    if count and revision:
        raise click.UsageError("-n and --to exclude each other")
    printer = Printer()
    with (
        translated_errors(),
        stopping_between_steps() as should_stop,
        pausing_between_steps() as should_pause,
    ):
        try:
            downgrade(
                options.config(),
                revision or f"-{count or 1}",
                report=printer,
                should_stop=should_stop,
                should_pause=should_pause,
            )
        finally:
            printer.close()
    summary = printer.summary(nothing="nothing to revert")
    click.echo(printer.as_json() if form == "json" else summary)
