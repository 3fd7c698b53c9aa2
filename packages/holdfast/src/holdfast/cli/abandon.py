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
from holdfast.migrate.status import statuses


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
        found = give_up(config, report=Printer())
    click.echo(with_options("\n".join(lines_of(found)), options.options_of_sql()))


def _left(config: Config) -> Iterator[str]:
    for found in statuses(config):
        for entry in found.half_way:
            left = "; ".join(found.left) or "the rest of its function"
            yield f"what is left of revision {entry.revision} ({entry.direction}): {left}"


def lines_of(found: Abandoned) -> Iterator[str]:
    """Say to a person what was given up, and print the way back."""
    yield f"abandoned: revision {found.revision} ({found.direction}); its version row was not written"
    for words in found.stays:
        yield f"stays     {words}"
    for words in found.given_back:
        yield f"as before {words}"
    for words in found.not_done:
        yield f"not done  {words}"
    yield "The way back to where it began, in this order (it was not tried)"
    for sql in found.undo:
        yield f"undo      {sql}"
    applied = found.revision if found.direction == "up" else "the revision before it"
    yield f"To go forward instead, do what is not done by hand, then: holdfast baseline {applied}"
