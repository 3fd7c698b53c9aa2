"""`holdfast abandon`: gives up the rest of a revision that can never finish."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import click
from alembic.config import Config

from holdfast.cli.confirm import confirm
from holdfast.cli.project import ProjectOptions, as_typed, translated_errors
from holdfast.cli.report import Printer
from holdfast.migrate.abandon import Abandoned
from holdfast.migrate.abandon import abandon as give_up
from holdfast.migrate.databases import only_pass
from holdfast.migrate.project_connection import each_database
from holdfast.migrate.status import Status, statuses
from holdfast.preview.way_back import tried


@dataclass(frozen=True, slots=True, kw_only=True)
class PassStatus:
    """A database and version table in which a revision is half-way."""

    config: Config  # the project as if it had this one alone
    found: Status


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def abandon(options: ProjectOptions, yes: bool) -> None:
    """Give up the rest of a half-way revision, in every database that env.py goes through.

    A half-way change of a column's type is undone; apart from that the schema stays as it is now.
    """
    out = sys.stdout  # what env.py prints goes elsewhere
    with translated_errors():
        config = options.config()
        passes = tuple(_passes(config))
        half_way = [each for each in passes if each.found.half_way]
        confirm(verb="abandon", loses=tuple(_left(half_way, of=len(passes))), yes=yes)
        for place in half_way or [PassStatus(config=config, found=passes[0].found)]:
            for given_up in give_up(place.config, report=Printer()):
                if len(passes) > 1:
                    click.echo(f"database {_name(place.found)}:", file=out)
                # It has been given up, whether or not the try works.
                said = tried(place.config, given_up.undo)
                lines = "\n".join(lines_of(given_up, said))
                click.echo(as_typed(lines), file=out)


def _passes(config: Config) -> Iterator[PassStatus]:
    for _, only in each_database(config):
        for number, found in enumerate(statuses(only)):
            yield PassStatus(config=only_pass(only, number), found=found)


def _name(found: Status) -> str:
    return f"{found.database}, {found.version_table}"


def _left(half_way: list[PassStatus], *, of: int) -> Iterator[str]:
    for place in half_way:
        where = f" in {_name(place.found)}" if of > 1 else ""
        left = "; ".join(place.found.left) or "the rest of its function"
        for entry in place.found.half_way:
            yield f"what is left of revision {entry.revision} ({entry.direction}){where}: {left}"


def lines_of(found: Abandoned, tried: str) -> Iterator[str]:
    """Say what was given up, and print the way back with the result of trying it."""
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
