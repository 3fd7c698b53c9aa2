"""`holdfast run`: applies what is pending, online."""

import json
from datetime import timedelta
from pathlib import Path

import click

from holdfast.cli.interrupt import GRACE_OPTION
from holdfast.cli.project import (
    FORMAT,
    ProjectOptions,
    translated_errors,
    without_garbage_collection,
    without_pygments,
)

UP_TO_DATE = "up to date: nothing is pending"


@click.command()
@click.option("--to", "revision", help="Stop after this revision. Default: the head.")
@click.option("--dry-run", is_flag=True, help="Show the plan instead: holdfast plan.")
@click.option(
    "--expand/--no-expand",
    "expand",
    default=None,
    help="Two releases are running: what the old one uses waits for holdfast finish.",
)
@click.option("--accept-edited", is_flag=True, help="Accept applied files that were edited since.")
@click.option(
    "--plan",
    "plan_file",
    type=click.Path(path_type=Path),
    help="What `holdfast plan --format json` has printed: say where the run differed from it.",
)
@GRACE_OPTION
@FORMAT
@click.pass_obj
def run(
    options: ProjectOptions,
    revision: str | None,
    dry_run: bool,
    expand: bool | None,
    accept_edited: bool,
    plan_file: Path | None,
    grace: timedelta,
    form: str,
) -> None:
    """Apply the pending revisions, each in a commit of its own.

    A run that was killed or stopped continues where it was. With --format json each event is a line of JSON on stdout;
    the last one is the result, or the failure.
    """
    is_usual = revision is None and not dry_run and not accept_edited and plan_file is None
    if is_usual and options.head_if_up_to_date() is not None:
        nothing = {"event": "result", "done": [], "departures": []}
        click.echo(json.dumps(nothing) if form == "json" else UP_TO_DATE)
        return
    # From here on SQLAlchemy and Alembic are loaded.
    if dry_run:
        from holdfast.cli.plan import show
        from holdfast.preview.forecast import forecasts

        with translated_errors():
            found = forecasts(options.config(), revision or "heads", expand=expand)
        show(found, form)
        return
    with without_garbage_collection(), without_pygments():
        from holdfast.cli.applying import apply

    apply(
        options,
        revision,
        accept_edited=accept_edited,
        expand=expand,
        plan_file=plan_file,
        form=form,
        nothing=UP_TO_DATE if revision is None else f"nothing is pending up to {revision}",
        grace=grace,
    )
