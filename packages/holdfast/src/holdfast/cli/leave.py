"""`holdfast leave`: ends what is under way, and drops everything of ours in the database."""

import click

from holdfast.cli.abandon import lines_of
from holdfast.cli.confirm import confirm
from holdfast.cli.project import ProjectOptions, translated_errors
from holdfast.cli.report import Printer
from holdfast.migrate.leave import leave as go


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def leave(options: ProjectOptions, yes: bool) -> None:
    """Give up what is half-way and drop the schema holdfast. Plain Alembic goes on from here."""
    confirm(verb="leave", loses=("the history and the journal in the schema holdfast",), yes=yes)
    with translated_errors():
        found = go(options.config(), report=Printer())
    for each in found.given_up:
        click.echo("\n".join(lines_of(each)))
    if found.had_schema:
        click.echo(
            "the schema holdfast is gone; alembic_version is as it was: alembic upgrade head"
        )
    else:
        click.echo("there is no schema holdfast in this database")
