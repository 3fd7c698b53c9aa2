"""`holdfast baseline`: says which revision a database corresponds to."""

from collections.abc import Iterator

import click

from holdfast.cli.project import ProjectOptions, translated_errors
from holdfast.cli.report import Printer
from holdfast.migrate.baseline import RecordedBaseline
from holdfast.migrate.baseline import baseline as record


@click.command()
@click.argument("revision")
@click.pass_obj
def baseline(options: ProjectOptions, revision: str) -> None:
    """Record that the database is at REVISION (`base`: at none) without running anything.

    In every database that env.py goes through.
    """
    with translated_errors():
        recorded = record(options.config(), revision, report=Printer())
    click.echo("\n".join(_lines(recorded)))


def _lines(recorded: tuple[RecordedBaseline, ...]) -> Iterator[str]:
    for each in recorded:
        several = f" {each.database}, {each.version_table}," if len(recorded) > 1 else ""
        yield f"recorded: the database{several} is at {', '.join(each.heads) or 'no revision'}"
