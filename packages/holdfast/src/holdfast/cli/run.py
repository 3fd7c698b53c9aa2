"""`holdfast run`: applies what is pending."""

import click
from alembic.script import ScriptDirectory

from holdfast import migrate
from holdfast.cli.project import ProjectOptions, told_apart
from holdfast.cli.report import Printer
from holdfast.errors.migration import TwoHeads


@click.command()
@click.option("--to", "revision", help="Stop after this revision. Default: the head.")
@click.pass_obj
def run(options: ProjectOptions, revision: str | None) -> None:
    """Apply the pending revisions, each in a commit of its own."""
    printer = Printer()
    with told_apart():
        config = options.config()
        if revision is None:
            heads = tuple(ScriptDirectory.from_config(config).get_heads())
            if len(heads) > 1:
                raise TwoHeads(heads=heads)
        migrate.upgrade(config, revision or "head", report=printer)
    click.echo(printer.summary(nothing="up to date: nothing is pending"))
