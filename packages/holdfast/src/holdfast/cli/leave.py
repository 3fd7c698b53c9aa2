"""`holdfast leave`: ends what is under way, and drops everything of ours in the database."""

import click

from holdfast.cli.abandon import lines_of
from holdfast.cli.confirm import confirm
from holdfast.cli.project import ProjectOptions, translated_errors
from holdfast.cli.report import Printer
from holdfast.migrate.leave import leave as go
from holdfast.migrate.leave import waits


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def leave(options: ProjectOptions, yes: bool) -> None:
    """Give up what is half-way, let go what waits and drop the schema holdfast. Plain Alembic goes on from here."""
    with translated_errors():
        waiting = tuple(f"{line.what}, which still waits" for line in waits(options.config()))
        history = "the history and the journal in the schema holdfast"
        confirm(verb="leave", loses=(history, *waiting), yes=yes)
        found = go(options.config(), report=Printer())
    for each in found.given_up:
        click.echo("\n".join(lines_of(each, "it was not tried")))
    for line in found.gone:
        click.echo(f"gone     {line.what}")
    if found.had_schema:
        click.echo(
            "the schema holdfast is gone; alembic_version is as it was: alembic upgrade head"
        )
    else:
        click.echo("there is no schema holdfast in this database")
