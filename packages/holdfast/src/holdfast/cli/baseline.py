"""`holdfast baseline`: says which revision a database corresponds to."""

import click

from holdfast.baseline import baseline as record
from holdfast.cli.project import ProjectOptions, told_apart
from holdfast.cli.report import Printer


@click.command()
@click.argument("revision")
@click.pass_obj
def baseline(options: ProjectOptions, revision: str) -> None:
    """Record that the database is at REVISION (`base`: at none) without running anything."""
    with told_apart():
        heads = record(options.config(), revision, report=Printer())
    click.echo(f"recorded: the database is at {', '.join(heads) or 'no revision'}")
