"""`holdfast abandon`: gives up the rest of a revision that can never finish."""

from collections.abc import Iterator

import click
from alembic.config import Config

from holdfast.cli.confirm import confirm
from holdfast.cli.project import ProjectOptions, translated_errors
from holdfast.cli.report import Printer
from holdfast.errors import with_options
from holdfast.migrate.abandon import Abandoned
from holdfast.migrate.abandon import abandon as give_up
from holdfast.migrate.project_connection import each_database
from holdfast.migrate.status import statuses
from holdfast.preview.way_back import tried


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def abandon(options: ProjectOptions, yes: bool) -> None:
    """Forget what is left of the revision that is half-way.

    A change of a type that is half-way is taken back; otherwise the schema stays as it is now.
    """
    with translated_errors():
        config = options.config()
        confirm(verb="abandon", loses=tuple(_left(config)), yes=yes)
        place = _half_way(config)
        found = give_up(config, report=Printer())
    # It is given up by now, whatever comes of a try.
    said = tried(place, found.undo)
    click.echo(with_options("\n".join(lines_of(found, said)), options.options_of_sql()))


def _half_way(config: Config) -> Config:
    """The project as if it had only the database in which a revision is half-way."""
    databases = {found.database for found in statuses(config) if found.half_way}
    each = each_database(config)
    return next((only for database, only in each if database.name in databases), config)


def _left(config: Config) -> Iterator[str]:
    for found in statuses(config):
        for entry in found.half_way:
            left = "; ".join(found.left) or "the rest of its function"
            yield f"what is left of revision {entry.revision} ({entry.direction}): {left}"


def lines_of(found: Abandoned, tried: str) -> Iterator[str]:
    """Say to a person what was given up, and print the way back with what came of a try."""
    yield f"abandoned: revision {found.revision} ({found.direction}); its version row was not written"
    for words in found.stays:
        yield f"stays     {words}"
    for words in found.given_back:
        yield f"as before {words}"
    for words in found.not_done:
        yield f"not done  {words}"
    yield f"The way back to where it began, in this order ({tried}):"
    for sql in found.undo:
        yield f"undo      {sql}"
    applied = found.revision if found.direction == "up" else "the revision before it"
    yield f"To go forward instead, do what is not done by hand, then: holdfast baseline {applied}"
