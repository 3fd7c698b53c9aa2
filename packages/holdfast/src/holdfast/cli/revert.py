"""`holdfast revert`: takes applied revisions back, online."""

from datetime import timedelta

import click

from holdfast.cli.applying import reporting
from holdfast.cli.event_stream import EventStream
from holdfast.cli.interrupt import GRACE_OPTION, pausing, stopping
from holdfast.cli.project import FORMAT, ProjectOptions, translated_errors
from holdfast.migrate.run import downgrade


@click.command()
@click.option("-n", "count", type=click.IntRange(min=1), help="How many revisions. Default: one.")
@click.option("--to", "revision", help="Down to this revision, which stays; `base` takes all back.")
@GRACE_OPTION
@FORMAT
@click.pass_obj
def revert(
    options: ProjectOptions,
    count: int | None,
    revision: str | None,
    grace: timedelta,
    form: str,
) -> None:
    """Take back the last revision, or several, each in a commit of its own."""
    if count and revision:
        raise click.UsageError("-n and --to exclude each other")
    with (
        reporting(form) as report,
        translated_errors(),
        stopping(grace) as stop,
        pausing() as should_pause,
    ):
        downgrade(
            options.config(),
            revision or f"-{count or 1}",
            report=report,
            should_stop=stop.should,
            must_stop=stop.must,
            should_pause=should_pause,
        )
    if isinstance(report, EventStream):
        report.result()
    else:
        click.echo(report.summary(nothing="nothing to revert"))
