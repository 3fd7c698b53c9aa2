"""`holdfast sync`: adds to a development database what the models have and it lacks."""

import click

from holdfast.cli.confirm import confirm
from holdfast.cli.project import ProjectOptions, translated_errors
from holdfast.cli.report import Printer
from holdfast.development.sync import add_missing, losses, make_equal
from holdfast.engine.settings import Settings
from holdfast.errors.sizes import counted


@click.command()
@click.option("--allow-drop", is_flag=True, help="Also drop and change; asks before.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def sync(options: ProjectOptions, allow_drop: bool, yes: bool) -> None:
    """Add to a development database what the models have and it lacks."""
    profile, printer = Settings().profile, Printer()
    with translated_errors():
        config = options.alembic_config(verb="sync")
        if allow_drop:
            confirm(verb="sync --allow-drop", loses=losses(config, profile=profile), yes=yes)
            done = make_equal(config, profile=profile, report=printer)
        else:
            done = add_missing(config, profile=profile, report=printer)
    for each in done:
        click.echo(each)
    changes = counted(len(done), "change", "changes")
    click.echo(changes if done else "nothing to do: the database has what the models have")
