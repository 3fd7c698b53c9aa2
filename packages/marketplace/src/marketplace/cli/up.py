"""`marketplace up`: everything at once, until Ctrl-C."""

from pathlib import Path

import click

from marketplace import demo_data
from marketplace.errors import TwoDatabases
from marketplace.settings import Settings, read_settings
from marketplace.up import Serving, serve


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Default: 8000.")
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of the embedded PostgreSQL. Default: .data/postgres.",
)
def up(port: int | None, data_dir: Path | None) -> None:
    """Serve the API on an embedded PostgreSQL, or on DATABASE_URL."""
    serve(_settings(port=port, data_dir=data_dir), announce=_announce)


def _settings(*, port: int | None, data_dir: Path | None) -> Settings:
    settings = read_settings()
    if data_dir is not None and settings.database_url is not None:
        raise TwoDatabases(data_dir=str(data_dir))
    chosen = {"port": port, "data_dir": data_dir}
    return settings.model_copy(
        update={name: value for name, value in chosen.items() if value is not None}
    )


def _announce(serving: Serving) -> None:
    click.echo(f"""
The marketplace is up. Ctrl-C stops it.

  API documentation  {serving.address}/docs
  products           {serving.address}/products
  health             {serving.address}/healthz
                     {serving.address}/readyz
  database           {serving.database}
""")
    if serving.logins:
        click.echo(f"Demo logins, each with the password {demo_data.PASSWORD}:\n")
        for email, role in serving.logins:
            click.echo(f"  {role:<10} {email}")
        click.echo()
