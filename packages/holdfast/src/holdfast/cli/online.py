"""`holdfast online`: the online plan of an SQL script, without running it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import click

from holdfast.cli.project import FORMAT, translated_errors
from holdfast.engine.create_engine import migration_url
from holdfast.engine.settings import Settings
from holdfast.errors.scratch import ScratchRefused
from holdfast.errors.sql import ScriptNotTried
from holdfast.errors.statement import UnparsableStatement
from holdfast.preview.online_script import PlannedStatement, plan_script
from holdfast.rewrite.steps import as_text, to_json


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--empty", is_flag=True, help="Against an empty database, not that of DATABASE_URL.")
@FORMAT
@click.pass_context
def online(ctx: click.Context, file: Path, empty: bool, form: str) -> None:
    """Show the steps, locks and refusals of the SQL script FILE. The database is only read.

    Exit status: 0 every statement has an online form, 1 at least one is refused.
    """
    with translated_errors(), _told_of_a_script(file, is_empty=empty):
        settings = Settings()
        url = None
        if not empty and settings.url is not None:
            found = migration_url(settings).set(drivername="postgresql")
            url = found.render_as_string(hide_password=False)
        planned = plan_script(file.read_text(), database=url, today=date.today())  # noqa: DTZ011  # see revision
    if form == "json":
        click.echo(json.dumps([_as_json(statement) for statement in planned]))
    else:
        click.echo("\n".join(line for statement in planned for line in _lines(statement)))
    ctx.exit(1 if any(statement.refusal for statement in planned) else 0)


@contextmanager
def _told_of_a_script(file: Path, *, is_empty: bool) -> Iterator[None]:
    """Report a failure as an error of the script, which has no models and no revision."""
    try:
        yield
    except UnparsableStatement as error:
        error.again = f"holdfast online {file}"
        raise
    except ScratchRefused as error:
        nothing_there = is_empty or Settings().url is None
        raise ScriptNotTried(
            file=str(file),
            said=error.said,
            statement=error.statement,
            tried_on="an empty database" if nothing_there else "a copy of the database's schema",
            instead="name the database that it is for: DATABASE_URL=postgresql://USER@HOST/DATABASE, without --empty"
            if nothing_there
            else "name a server that has what is missing (an extension, a role):"
            " HOLDFAST_SCRATCH_URL=postgresql://USER@HOST/postgres",
        ) from error


def _lines(statement: PlannedStatement) -> Iterator[str]:
    yield f"-- {statement.sql}"
    if statement.refusal is not None:
        yield str(statement.refusal)
    else:
        yield as_text(statement.steps)
    yield ""


def _as_json(statement: PlannedStatement) -> object:
    return {
        "sql": statement.sql,
        "steps": json.loads(to_json(statement.steps)),
        "refusal": None if statement.refusal is None else statement.refusal.parts(),
    }
