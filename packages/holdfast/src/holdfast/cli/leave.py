"""`holdfast leave`: ends what is under way, and drops everything that holdfast has made in the database."""

import sys
from collections.abc import Iterator

import click

from holdfast.cli.abandon import lines_of
from holdfast.cli.confirm import confirm
from holdfast.cli.project import ProjectOptions, as_typed, translated_errors
from holdfast.cli.report import Printer
from holdfast.migrate.leave import Left, waits
from holdfast.migrate.leave import leave as go
from holdfast.migrate.project_connection import each_database
from holdfast.migrate.sql.source import sql_source
from holdfast.preview.way_back import tried


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def leave(options: ProjectOptions, yes: bool) -> None:
    """Give up what is half-way, finish what waits and drop the schema holdfast. Plain Alembic can go on from here.

    In every database that env.py goes through. The way back from what was half-way is tried on a scratch server.
    """
    out = sys.stdout  # what env.py prints goes elsewhere
    with translated_errors():
        config = options.config()
        waiting = tuple(f"{line.what}, which still waits" for line in waits(config))
        history = "the history and the journal in the schema holdfast"
        confirm(verb="leave", loses=(history, *waiting), yes=yes)
        databases = each_database(config)
        for database, only in databases:
            found = go(only, report=Printer())
            if len(databases) > 1:
                click.echo(f"database {database.name}:", file=out)
            # It has been given up, whether or not the try works.
            words = [tried(only, given_up.undo) for given_up in found.given_up]
            lines = "\n".join(_lines(found, words, is_of_alembic=sql_source(config) is None))
            click.echo(as_typed(lines), file=out)


def _lines(found: Left, tries: list[str], *, is_of_alembic: bool) -> Iterator[str]:
    for each, said in zip(found.given_up, tries, strict=True):
        yield from lines_of(each, said)
    for line in found.gone:
        yield f"gone     {line.what}"
    if found.had_schema and is_of_alembic:
        tables = ", ".join(found.version_tables)
        yield f"the schema holdfast is gone; {tables} is as it was, and Alembic alone goes on from there"
    elif found.had_schema:
        yield "the schema holdfast is gone, with what it knew of single scripts; the folder's own table is as it was"
    else:
        yield "there is no schema holdfast in this database"
