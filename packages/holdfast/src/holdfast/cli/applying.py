"""What `holdfast run` does when there may be something to do."""

import click

from holdfast import migrate
from holdfast.cli.interrupt import stopping_between_steps
from holdfast.cli.project import ProjectOptions, told_apart
from holdfast.cli.report import Printer


def apply(
    options: ProjectOptions, revision: str | None, *, accept_edited: bool, form: str, nothing: str
) -> None:
    """Apply it, with progress on stderr and the result on stdout."""
    printer = Printer()
    with told_apart(), stopping_between_steps() as should_stop:
        try:
            migrate.upgrade(
                options.config(),
                revision or "head",
                report=printer,
                should_stop=should_stop,
                accept_edited=accept_edited,
            )
        finally:
            printer.close()
    summary = printer.summary(nothing=nothing)
    click.echo(printer.as_json() if form == "json" else summary)
