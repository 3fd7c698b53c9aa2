"""`holdfast abandon`: gives up the rest of a revision that can never finish."""

from collections.abc import Iterator

import click

from holdfast.cli.project import ProjectOptions, translated_errors
from holdfast.cli.report import Printer
from holdfast.migrate.abandon import Abandoned
from holdfast.migrate.abandon import abandon as give_up


@click.command()
@click.pass_obj
def abandon(options: ProjectOptions) -> None:
    """Forget what is left of the revision that is half-way.

    A change of a type that is half-way is taken back; otherwise the schema stays as it is now.
    """
    with translated_errors():
        found = give_up(options.config(), report=Printer())
    click.echo("\n".join(lines_of(found)))


def lines_of(found: Abandoned) -> Iterator[str]:
    """What was given up, for a person."""
    yield f"abandoned: revision {found.revision} ({found.direction}); its version row was not written"
    for words in found.stays:
        yield f"stays     {words}"
    for words in found.given_back:
        yield f"as before {words}"
    for words in found.not_done:
        yield f"not done  {words}"
    yield "To go back to where it began, undo what stays"
    for sql in found.undo:
        yield f"undo      {sql}"
    applied = found.revision if found.direction == "up" else "the revision before it"
    yield f"To go forward instead, do what is not done by hand, then: holdfast baseline {applied}"
