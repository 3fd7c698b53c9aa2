"""The options that every verb shares, and messages for what can go wrong in every verb.

What is heavy is imported inside: a command that finds its database up to date is over before it is needed.
"""

import gc
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import click

from holdfast.errors import HoldfastError, with_options
from holdfast.errors.light_dataclass import light_dataclass

if TYPE_CHECKING:
    from alembic.config import Config

# Secrets in values of -x: those whose key says so, and the password of a URL.
SECRET = re.compile(r"(?i)^([^=]*(?:pass|pw|secret|token|key)[^=]*=).*|(://[^/\s:@]*:)[^/\s]*(?=@)")
LOOKED = (
    "holdfast.looked"  # in click's meta: the quick look has found that there may be something to do
)
FORMAT = click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")


@light_dataclass
class ProjectOptions:
    """Which project a command acts on: what its options -c, -n and -x say."""

    file: Path | None
    x: tuple[str, ...]
    section: str = "alembic"
    sql: Path | None = None  # SQL scripts instead of a project of Alembic
    layout: str | None = None
    # The options that were typed: every proposed command has to repeat them.
    on_the_line: frozenset[str] = frozenset()

    def sql_path(self) -> Path | None:
        """The SQL scripts that --sql names; else those of [tool.holdfast], if nothing names an Alembic project."""
        if self.sql is not None or self.file is not None:
            return self.sql
        from holdfast.migrate.project_files import sql_in

        return sql_in(Path.cwd())

    def named(self) -> str:
        """The options that a proposed command needs after `holdfast`, as the project was named here."""
        typed = {
            "file": ("-c", self.file),
            "section": ("-n", self.section),
            "sql": ("--sql", self.sql),
            "layout": ("--layout", self.layout),
        }
        words = [
            f"{option} {shlex.quote(str(value))}"
            for name, (option, value) in typed.items()
            if name in self.on_the_line and value is not None
        ]
        words += [f"-x {shlex.quote(without_secret(each))}" for each in self.x]
        return " ".join(words)

    def config(self) -> "Config":
        """Give the project's Alembic configuration; for Flask-Migrate, within an application context from here on."""
        from holdfast.migrate.flask_application import application_context
        from holdfast.migrate.project import find_config  # loads Alembic

        sql = self.sql_path()
        if sql is not None:
            from holdfast.migrate.sql.project import sql_config

            return sql_config(sql, layout=self.layout)
        found = find_config(
            file=self.file,
            x=self.x,
            directory=Path.cwd(),
            section=self.section,
            looked=LOOKED in click.get_current_context().meta,
        )
        click.get_current_context().with_resource(application_context(found))
        return found

    def alembic_config(self, *, verb: str) -> "Config":
        """Give the configuration for a verb that needs models or Alembic revisions. Raises NotForScripts."""
        found = self.config()
        from holdfast.migrate.sql.project import require_alembic

        require_alembic(found, verb=verb)
        return found

    def head_if_up_to_date(self) -> str | None:
        """Give the head if a quick look shows that the database is there; None: look closer."""
        if self.x or self.section != "alembic" or self.sql is not None:
            return None  # env.py is told something that the look does not know
        with without_garbage_collection():
            from holdfast.migrate.up_to_date.look import project_at  # loads psycopg

            click.get_current_context().meta[LOOKED] = True
            project = project_at(Path.cwd(), file=self.file)
            return None if project is None else project.head_if_up_to_date()


def without_secret(argument: str) -> str:
    """Give an argument of -x in a form that may be printed."""
    return SECRET.sub(lambda found: f"{found[1] or found[2]}***", argument)


@contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Switch garbage collection off for imports and one query: it took a fifth of their time."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def without_pygments() -> Iterator[None]:
    """Hide pygments while Alembic is imported: Mako would load it for error pages that nobody asks for."""
    name = "mako.ext.pygmentplugin"
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # an import of it fails, as without pygments
    try:
        yield
    finally:
        del sys.modules[name]


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn the errors of Alembic and of the driver into ours; what env.py prints goes to stderr."""
    from alembic.util import CommandError

    from holdfast.cli.driver_errors import explaining_connections
    from holdfast.errors.project import AlembicRefused

    try:
        with redirect_stdout(sys.stderr), explaining_connections():
            yield
    except CommandError as error:
        raise _named(AlembicRefused(message=str(error))) from error
    except HoldfastError as error:
        _named(error)
        raise


def _named(error: HoldfastError) -> HoldfastError:
    """Make the commands in an error's text name the project as this command line did."""
    error.options = _typed()
    return error


def as_typed(text: str) -> str:
    """Make the commands in a text name the project as this command line did, so that they can be pasted."""
    return with_options(text, _typed())


def _typed() -> str:
    context = click.get_current_context(silent=True)
    options = None if context is None else context.find_object(ProjectOptions)
    return "" if options is None else options.named()
