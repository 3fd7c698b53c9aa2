"""The command line: one verb, one file, loaded when it is called.

Results go to stdout, errors and the log of the server to stderr. Exit status: 0 fine, 2 wrong usage,
3 could not (safe to run again), 130 after Ctrl-C.
"""

import importlib
import signal
import sys
from types import FrameType

import click

from holdfast import HoldfastError

VERBS = (
    "up",
    "serve",
    "create-admin",
    "cleanup",
    "expire-orders",
    "webhook-key",
    "place",
    "demo",
    "openapi",
)
INTERRUPTED = 130


class Verbs(click.Group):
    """A click group that finds a verb in its module: `marketplace.cli.expire_orders` has `expire-orders`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List all verbs, in the order in which one meets them."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a verb, and give its command."""
        if cmd_name not in VERBS:
            return None
        name = cmd_name.replace("-", "_")
        module = importlib.import_module(f"marketplace.cli.{name}")
        command: click.Command = getattr(module, name)
        return command


@click.group(cls=Verbs)
@click.version_option(package_name="marketplace")
def marketplace() -> None:
    """A multi-vendor marketplace back end."""


def main() -> None:
    """Run the command line and exit with its status."""
    try:
        _stop_in_order()
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
    """Stop what was started on the way out, as after Ctrl-C; under nohup keep running."""
    signal.signal(signal.SIGTERM, _stop)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _stop_as_told)


def _stop(_: int, __: FrameType | None) -> None:
    """Exit successfully: being told to end is no failure."""
    raise SystemExit(0)


def _stop_as_told(_: int, __: FrameType | None) -> None:
    """Stop because the terminal was closed, by the handler of SIGTERM, which uvicorn replaces while it serves."""
    signal.raise_signal(signal.SIGTERM)
