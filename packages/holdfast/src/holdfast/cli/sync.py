"""`holdfast sync`: makes a development database what the models say."""

import click

from holdfast.cli.confirm import confirm
from holdfast.cli.project import ProjectOptions, told_apart
from holdfast.cli.report import Printer
from holdfast.settings import Settings
from holdfast.sync import add_missing, losses, make_equal


@click.command()
@click.option("--allow-drop", is_flag=True, help="Also drop and change; asks before.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def sync(options: ProjectOptions, allow_drop: bool, yes: bool) -> None:
    """Add to a development database what the models have and it has not."""
    profile, printer = Settings().profile, Printer()
    with told_apart():
        config = options.config()
        if allow_drop:
            confirm(verb="sync --allow-drop", loses=losses(config, profile=profile), yes=yes)
            done = make_equal(config, profile=profile, report=printer)
        else:
            done = add_missing(config, profile=profile, report=printer)
    for each in done:
        click.echo(each)
    click.echo(
        f"{len(done)} changes" if done else "nothing to do: the database has what the models have"
    )
