"""`holdfast reset`: an empty database with the newest schema. Development and test only."""

import click

from holdfast.cli.confirm import confirm
from holdfast.cli.project import ProjectOptions, told_apart
from holdfast.cli.report import Printer
from holdfast.looking import look_at
from holdfast.observe.database import database_name
from holdfast.reset import require_disposable
from holdfast.reset import reset as start_over
from holdfast.settings import Settings


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def reset(options: ProjectOptions, yes: bool) -> None:
    """Drop everything and run the history again. Refused unless the database is for development or test."""
    profile, printer = Settings().profile, Printer()
    with told_apart():
        config = options.config()
        require_disposable(config, profile=profile)
        name = look_at(config, lambda sight: database_name(sight.connection))
        confirm(verb="reset", loses=(f"all data in the database {name}",), yes=yes)
        try:
            start_over(config, profile=profile, report=printer)
        finally:
            printer.close()
    click.echo(f"{name} is empty; {printer.summary(nothing='there are no revisions')}")
