"""`holdfast reset`: empties the database and runs its history again. For development and test only."""

import click

from holdfast.cli.confirm import confirm
from holdfast.cli.project import ProjectOptions, translated_errors
from holdfast.cli.report import Printer
from holdfast.development.reset import require_disposable
from holdfast.development.reset import reset as start_over
from holdfast.engine.settings import Settings
from holdfast.migrate.project_connection import on_project_connection
from holdfast.observe.database import database_name


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def reset(options: ProjectOptions, yes: bool) -> None:
    """Drop everything and run the history again. Refused unless the database is for development or test."""
    profile, printer = Settings().profile, Printer()
    with translated_errors():
        config = options.alembic_config(verb="reset")
        require_disposable(config, profile=profile)
        name = on_project_connection(config, lambda project: database_name(project.connection))
        confirm(verb="reset", loses=(f"all data in the database {name}",), yes=yes)
        try:
            start_over(config, profile=profile, report=printer)
        finally:
            printer.close()
    click.echo(f"{name} is empty; {printer.summary(nothing='there are no revisions')}")
