"""The command line of the marketplace: results on stdout, errors and the server's log on stderr."""

import signal
import sys
from pathlib import Path
from types import FrameType

import click

from holdfast.errors import HoldfastError
from marketplace import demo_data
from marketplace.errors import TwoDatabases
from marketplace.settings import Settings, read_settings
from marketplace.up import Serving
from marketplace.up import up as serve

INTERRUPTED = 130  # what a shell reports for a program that Ctrl-C ended


@click.group()
@click.version_option(package_name="marketplace")
def marketplace() -> None:
    """A multi-vendor marketplace back end."""


@marketplace.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Default: 8000.")
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of the embedded PostgreSQL. Default: .data/postgres.",
)
def up(port: int | None, data_dir: Path | None) -> None:
    """Serve the API on an embedded PostgreSQL, or on the database of DATABASE_URL."""
    _stop_in_order()
    serve(_settings(port=port, data_dir=data_dir), announce=_announce)


def main() -> None:
    """Run the command line and exit with its status."""
    try:
        marketplace(standalone_mode=False)
    except HoldfastError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_status)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)


def _stop_in_order() -> None:
    """When told to end, or when the terminal is closed, as after Ctrl-C; under nohup it goes on."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def _stop(_: int, __: FrameType | None) -> None:
    """What was started is stopped on the way out. Being told to end is no failure."""
    raise SystemExit(0)


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
