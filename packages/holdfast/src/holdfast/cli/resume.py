"""`holdfast resume`: the run that waits because of `holdfast pause` goes on."""

import click

from holdfast.cli.project import ProjectOptions, translated_errors


@click.command()
@click.pass_obj
def resume(options: ProjectOptions) -> None:
    """Let the run go on that holdfast pause has paused."""
    from holdfast.migrate.pause import resume as take_back  # loads SQLAlchemy and Alembic

    with translated_errors():
        was_paused = take_back(options.config())
    click.echo("resumed" if was_paused else "nothing was paused")
