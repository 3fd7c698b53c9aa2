"""`holdfast baseline`: says which revision a database corresponds to."""

import click

from holdfast.cli.project import ProjectOptions, translated_errors
from holdfast.cli.report import Printer
from holdfast.migrate.baseline import baseline as record


@click.command()
@click.argument("revision")
@click.pass_obj
def baseline(options: ProjectOptions, revision: str) -> None:
    """Record that the database is at REVISION (`base`: at none) without running anything."""
    with translated_errors():
        heads = record(options.config(), revision, report=Printer())
    click.echo(f"recorded: the database is at {', '.join(heads) or 'no revision'}")
