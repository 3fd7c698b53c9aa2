"""The command line: one verb, one file, loaded when it is called.

Results go to stdout, progress and errors to stderr. Exit status: 0 fine, 1 found something, 2 wrong usage, 3 could not
(safe to run again); `status` has more, see there.
"""

import atexit
import gc
import importlib
import sys
from pathlib import Path
from typing import NoReturn

import click
from click.core import ParameterSource

from holdfast.cli.failure import show_error
from holdfast.cli.project import ProjectOptions
from holdfast.cli.traceback import frames_of_project, module_not_installed, whole
from holdfast.errors import HoldfastError
from holdfast.errors.project import HoldfastFailed

COULD_NOT = 3
WHOLE_SENTENCE = 500  # characters: more than any has
OBJECTS = 50_000  # made before the garbage collector looks: imports make many, and all of them stay
LAYOUTS = ("dbmate", "flyway", "prisma", "drizzle", "numbered")
VERBS = (
    "generate",
    "check",
    "plan",
    "run",
    "finish",
    "apply",
    "revert",
    "status",
    "baseline",
    "abandon",
    "pause",
    "resume",
    "leave",
    "online",
    "doctor",
    "drift",
    "sync",
    "reset",
    "settings",
)


# Verbs of Alembic and Flask-Migrate, and what they are called here.
CALLED_ELSEWHERE = {
    "upgrade": "holdfast run (--to REVISION)",
    "migrate": "holdfast generate NAME, which writes a revision; holdfast run applies it",
    "downgrade": "holdfast revert (-n N, --to REVISION)",
    "stamp": "holdfast baseline REVISION",
    "current": "holdfast status",
    "history": "holdfast status for what is applied and pending; alembic history for the whole chain",
    "heads": "holdfast check, which finds more than one; alembic heads lists them",
    "branches": "holdfast check; alembic branches lists them",
    "show": "holdfast plan for what a run would do; alembic show REVISION for a file",
    "revision": "holdfast generate NAME from the models; alembic revision -m NAME for an empty one",
    "merge": "alembic merge heads, as before; then holdfast run",
    "init": "alembic init, as before; holdfast acts on the project that it makes",
    "edit": "alembic edit REVISION, as before",
}


class Verbs(click.Group):
    """A click group that finds a verb in its module: `holdfast.cli.run` has the command `run`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List all verbs, in the order in which one meets them."""
        return list(VERBS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each verb with its whole first sentence, on as many lines as that takes."""
        commands = [(name, self.get_command(ctx, name)) for name in VERBS]
        rows = [
            (name, command.get_short_help_str(limit=WHOLE_SENTENCE))
            for name, command in commands
            if command is not None
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a verb, and give its command."""
        if cmd_name in CALLED_ELSEWHERE:
            ctx.fail(f"There is no verb '{cmd_name}'; here it is: {CALLED_ELSEWHERE[cmd_name]}")
        if cmd_name not in VERBS:
            import difflib  # which a verb that there is has no use for

            like = difflib.get_close_matches(cmd_name, VERBS, n=1)
            if like:
                ctx.fail(f"There is no verb '{cmd_name}'. Is it this: holdfast {like[0]}")
            return None
        command: click.Command = getattr(
            importlib.import_module(f"holdfast.cli.{cmd_name}"), cmd_name
        )
        return command


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-c",
    "--config",
    "file",
    type=click.Path(path_type=Path),
    envvar="ALEMBIC_CONFIG",
    help="The project's alembic.ini or pyproject.toml. Default: found from the working directory.",
)
@click.option(
    "-n",
    "--name",
    "section",
    metavar="SECTION",
    default="alembic",
    help="The section of alembic.ini to use instead of [alembic].",
)
@click.option(
    "-x", "x", multiple=True, metavar="KEY=VALUE", help="Passed on to the project's env.py."
)
@click.option(
    "--sql",
    type=click.Path(exists=True, path_type=Path),
    envvar="HOLDFAST_SQL",
    help="SQL scripts instead of an Alembic project: a file, or a folder in the layout of its tool.",
)
@click.option(
    "--layout",
    type=click.Choice(LAYOUTS),
    envvar="HOLDFAST_SQL_LAYOUT",
    help="The layout of that folder, if its files do not show it.",
)
@click.version_option(package_name="holdfast")
@click.pass_context
def holdfast(
    ctx: click.Context,
    file: Path | None,
    section: str,
    x: tuple[str, ...],
    sql: Path | None,
    layout: str | None,
) -> None:
    """Change a PostgreSQL database under a live application."""
    ctx.obj = ProjectOptions(
        file=file,
        x=x,
        section=section,
        sql=sql,
        layout=layout,
        on_the_line=frozenset(
            name
            for name in ctx.params
            if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
        ),
    )


def main() -> None:
    """Run the command line and exit with its status."""
    gc.set_threshold(OBJECTS)
    atexit.register(gc.freeze)  # the end of the process would look through everything once more
    try:
        holdfast(prog_name="holdfast")
    except HoldfastError as error:
        show_error(error)
        sys.exit(error.exit_status)
    except ModuleNotFoundError as error:
        missing = module_not_installed(error)
        if missing is None:
            _fail(error)
        show_error(missing)
        sys.exit(missing.exit_status)
    except Exception as error:  # noqa: BLE001  # shown, with all that it says
        shown = frames_of_project(error)
        if shown is None:
            _fail(error)
        click.echo(
            f"{shown}error: the project's own code raised this; see its lines above.", err=True
        )
        sys.exit(COULD_NOT)


def _fail(error: Exception) -> NoReturn:
    """Show an exception that is not the project's fault with its whole traceback, and exit with status 3."""
    click.echo(whole(error), err=True, nl=False)
    failed = HoldfastFailed(said=f"{type(error).__name__}: {error}", python=sys.executable)
    click.echo(f"error: {failed}", err=True)
    sys.exit(failed.exit_status)
