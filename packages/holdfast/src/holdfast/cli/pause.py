"""`holdfast pause`: the run that migrates waits after its step or batch, until `holdfast resume`."""

import click

from holdfast.cli.project import ProjectOptions, translated_errors


@click.command()
@click.pass_obj
def pause(options: ProjectOptions) -> None:
    """Let the run wait after its step or batch, holding nothing, until holdfast resume."""
    from holdfast.migrate.pause import pause as ask  # loads SQLAlchemy and Alembic

    with translated_errors():
        ask(options.config())
    click.echo("paused: a run waits after its step or batch; go on with: holdfast resume")
