"""`holdfast resume`: lets a run continue that waits because of `holdfast pause`."""

import click

from holdfast.cli.project import ProjectOptions, translated_errors


@click.command()
@click.pass_obj
def resume(options: ProjectOptions) -> None:
    """Let a run continue that holdfast pause has paused."""
    from holdfast.migrate.pause import resume as take_back  # loads SQLAlchemy and Alembic

    with translated_errors():
        resumed = take_back(options.config())
    where = f" in {', '.join(resumed)}" if len(resumed) > 1 else ""
    click.echo(f"resumed{where}" if resumed else "nothing was paused")
