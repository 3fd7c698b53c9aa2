"""`holdfast apply`: applies SQL scripts, online."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import click

from holdfast.cli.applying import apply as apply_pending
from holdfast.cli.interrupt import GRACE_OPTION
from holdfast.cli.plan import show
from holdfast.cli.project import FORMAT, ProjectOptions, translated_errors
from holdfast.migrate.sql.find_layout import LAYOUTS
from holdfast.preview.forecast import forecasts

APPLIED_BEFORE = "nothing to do: this script was applied before"
UP_TO_DATE = "up to date: nothing is pending"


@click.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--layout",
    type=click.Choice(list(LAYOUTS)),
    help="The layout of the folder, if its files do not show it.",
)
@click.option("--to", "revision", help="Stop after this one. Default: the last.")
@click.option("--dry-run", is_flag=True, help="Show the plan; the database is only read.")
@click.option("--accept-edited", is_flag=True, help="Accept applied files that were edited since.")
@click.option(
    "--expand/--no-expand",
    "expand",
    default=None,
    help="Do only what two releases can live with; the rest waits for holdfast finish.",
)
@GRACE_OPTION
@FORMAT
@click.pass_context
def apply(
    ctx: click.Context,
    path: Path,
    layout: str | None,
    revision: str | None,
    dry_run: bool,
    accept_edited: bool,
    expand: bool | None,
    grace: timedelta,
    form: str,
) -> None:
    """Apply the SQL script PATH, or what is pending of the folder PATH, as `holdfast run` does.

    A folder is read in the order of its tool (dbmate, Flyway, Prisma, Drizzle, plain numbered files), and the tool's
    own version table is read and written. `holdfast --sql PATH status`, and every other verb, acts on the same.
    """
    given: ProjectOptions = ctx.obj
    typed = {"sql", "layout"} if layout else {"sql"}
    options = replace(
        given,
        sql=path,
        layout=layout or given.layout,
        file=None,
        on_the_line=given.on_the_line | typed,
    )
    ctx.obj = options
    if dry_run:
        with translated_errors():
            found = forecasts(options.config(), revision or "heads", expand=expand)
        show(found, form)
        return
    apply_pending(
        options,
        revision,
        accept_edited=accept_edited,
        expand=expand,
        plan_file=None,
        form=form,
        nothing=APPLIED_BEFORE if path.is_file() else UP_TO_DATE,
        grace=grace,
    )
