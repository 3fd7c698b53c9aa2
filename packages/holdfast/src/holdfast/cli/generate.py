"""`holdfast generate`: writes a revision from the models."""

import click

from holdfast.cli.project import ProjectOptions, told_apart
from holdfast.generate import generate as write_revision


@click.command()
@click.argument("name")
@click.pass_obj
def generate(options: ProjectOptions, name: str) -> None:
    """Write the revision NAME: what the models have and the database has not."""
    with told_apart():
        file = write_revision(options.config(), name)
    click.echo(f"written: {file}" if file else "nothing to write: models and database agree")
