"""`holdfast run`: applies what is pending, online."""

import json

import click

from holdfast.cli.project import FORMAT, ProjectOptions, told_apart, without_garbage_collection

UP_TO_DATE = "up to date: nothing is pending"


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
    is_usual = revision is None and not dry_run and not accept_edited
    if is_usual and options.head_at_rest() is not None:
        click.echo(json.dumps({"done": []}) if form == "json" else UP_TO_DATE)
        return
    # From here on with all of SQLAlchemy and Alembic.
    if dry_run:
        from holdfast.cli.plan import show

        with told_apart():
            show(options.config(), revision, form)
        return
    with without_garbage_collection():
        from holdfast.cli.applying import apply

    apply(options, revision, accept_edited=accept_edited, form=form, nothing=UP_TO_DATE)
