"""`holdfast revert`: takes applied revisions back, online."""

from datetime import timedelta

import click

from holdfast.cli.applying import reporting
from holdfast.cli.confirm import confirm
from holdfast.cli.event_stream import EventStream
from holdfast.cli.interrupt import GRACE_OPTION, pausing, stopping
from holdfast.cli.project import FORMAT, ProjectOptions, translated_errors
from holdfast.migrate.run import downgrade
from holdfast.migrate.taken_back import TakenBack, taken_back


@click.command()
@click.option("-n", "count", type=click.IntRange(min=1), help="How many revisions. Default: one.")
@click.option("--to", "revision", help="Down to this revision, which stays; `base` takes all back.")
@click.option("--yes", is_flag=True, help="Do not ask, also where it is more than -n says.")
@GRACE_OPTION
@FORMAT
@click.pass_obj
def revert(
    options: ProjectOptions,
    count: int | None,
    revision: str | None,
    yes: bool,
    grace: timedelta,
    form: str,
) -> None:
    """Take back the last revision, or several, each in a commit of its own."""
    if count and revision:
        raise click.UsageError("-n and --to exclude each other")
    target = revision or f"-{count or 1}"
    with (
        reporting(form) as report,
        translated_errors(),
        stopping(grace) as stop,
        pausing() as should_pause,
    ):
        config = options.config()
        listed = _listed(taken_back(config, target))
        if listed:
            click.echo(f"takes back {len(listed)}: {'; '.join(listed)}", err=True)
        if revision is None and len(listed) > (count or 1):
            confirm(verb=f"revert -n {count or 1}", loses=listed, yes=yes)
        downgrade(
            config,
            target,
            report=report,
            should_stop=stop.should,
            must_stop=stop.must,
            should_pause=should_pause,
        )
    if isinstance(report, EventStream):
        report.result()
    else:
        click.echo(report.summary(nothing="nothing to revert"))


def _listed(found: tuple[TakenBack, ...]) -> tuple[str, ...]:
    """Name each revision with its description, and with its databases if there are several."""
    is_one = len({database for each in found for database in each.databases}) == 1
    return tuple(
        f"{each.revision} {each.description}"
        if is_one
        else f"{each.revision} {each.description} (in {', '.join(each.databases)})"
        for each in found
    )
