"""`holdfast status`: where the database stands. Writes nothing."""

import json

import click

from holdfast.cli.project import FORMAT, ProjectOptions, without_garbage_collection

# What `standing` prints for a database that is up to date, before its revision.
UP_TO_DATE: dict[str, object] = {
    "state": "up_to_date",
    "version_table": "public.alembic_version",
    "says": "up to date",
    "exit_status": 0,
    "refusal": None,
    "applied": [],
    "pending": [],
    "unknown": [],
    "edited": [],
    "half_way": [],
    "failed": [],
    "waits": [],
    "left": [],
    "migrator": None,
    "progress": None,
}


@click.command()
@FORMAT
@click.pass_context
def status(ctx: click.Context, form: str) -> None:
    """Show where the database stands.

    Exit status: 0 up to date, 1 pending, 4 ahead of the project, 5 half-way, 6 an edited file, 7 a run is at work;
    otherwise the status with which `holdfast run` would refuse the database.
    """
    options: ProjectOptions = ctx.obj
    head = options.head_if_up_to_date()
    if head is None:
        with without_garbage_collection():
            from holdfast.cli.standing import show  # all of SQLAlchemy and Alembic

        ctx.exit(show(options, form))
    if form == "json":
        click.echo(json.dumps({**UP_TO_DATE, "applied": [head]}))
    else:
        click.echo(f"up to date\nat       {head}")
