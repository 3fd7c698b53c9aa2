"""`holdfast pause`: asks the running migration to wait after its step or batch, until `holdfast resume`."""

import click

from holdfast.cli.project import ProjectOptions, as_typed, translated_errors


@click.command()
@click.pass_obj
def pause(options: ProjectOptions) -> None:
    """Make the running migration wait after its step or batch, holding no lock, until holdfast resume.

    In every database that env.py goes through and in which holdfast has run.
    """
    from holdfast.migrate.pause import pause as ask  # loads SQLAlchemy and Alembic

    with translated_errors():
        paused = ask(options.config())
    where = f" in {', '.join(paused)}" if len(paused) > 1 else ""
    goes_on = as_typed("go on with: holdfast resume")
    click.echo(f"paused{where}: a run waits after its step or batch; {goes_on}")
