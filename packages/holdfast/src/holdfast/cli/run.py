"""`holdfast run`: applies what is pending, online."""

import click

from holdfast import migrate
from holdfast.cli.interrupt import stopping_between_steps
from holdfast.cli.plan import show
from holdfast.cli.project import FORMAT, ProjectOptions, told_apart
from holdfast.cli.report import Printer
from holdfast.errors.migration import TwoHeads
from holdfast.forecast import forecast
from holdfast.history_files import open_history


@click.command()
@click.option("--to", "revision", help="Stop after this revision. Default: the head.")
@click.option("--dry-run", is_flag=True, help="Show the plan instead: holdfast plan.")
@click.option("--accept-edited", is_flag=True, help="Applied files may have been edited since.")
@FORMAT
@click.pass_obj
def run(
    options: ProjectOptions, revision: str | None, dry_run: bool, accept_edited: bool, form: str
) -> None:
    """Apply the pending revisions, each in a commit of its own.

    A run that was killed or stopped goes on where it was.
    """
    if dry_run:
        with told_apart():
            found = forecast(options.config(), revision or "heads")
        show(found, form)
        return
    printer = Printer()
    with told_apart(), stopping_between_steps() as should_stop:
        config = options.config()
        if revision is None:
            heads = tuple(open_history(config).get_heads())
            if len(heads) > 1:
                raise TwoHeads(heads=heads)
        try:
            migrate.upgrade(
                config,
                revision or "head",
                report=printer,
                should_stop=should_stop,
                accept_edited=accept_edited,
            )
        finally:
            printer.close()
    summary = printer.summary(nothing="up to date: nothing is pending")
    click.echo(printer.as_json() if form == "json" else summary)
