"""`marketplace place`: divide the database among the servers of a cluster."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import click
from pydantic import SecretStr

from marketplace import placing
from marketplace.database import open_short_engine
from marketplace.server import explained_errors
from marketplace.settings import read_settings, sqlalchemy_url

# Any number of rows is moved, so the limits of requests do not apply.
WITHOUT_LIMITS = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0"


@click.command()
@click.option("--citus", required=True, metavar="URL", help="The database on its coordinator.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def place(citus: str, yes: bool) -> None:
    """Divide the database by user on a Citus cluster, while nobody uses it. Safe to run again."""
    with _connected(citus) as connection:
        found = placing.plan(connection)
        _show(found)
        if not found.due:
            click.echo("placed: nothing is left to do")
            return
        if not yes:
            click.confirm("Nobody may use the shop meanwhile. Go on?", abort=True)
        for number, step in enumerate(placing.place(connection, found.due), 1):
            click.echo(f"[{number}/{len(found.due)}] {step.what}", err=True)
    click.echo("placed: start the shop with MARKETPLACE_PLACEMENT=by_user")


@contextmanager
def _connected(citus: str) -> Iterator[placing.Connection]:
    """Open psycopg's own connection in autocommit, as safe as those of the shop: the same TLS, the same checks."""
    url = sqlalchemy_url(SecretStr(citus))
    engine = open_short_engine(url, profile=read_settings().profile, isolation_level="AUTOCOMMIT")
    with explained_errors(url), engine.connect() as connection:
        connection.exec_driver_sql(WITHOUT_LIMITS)
        yield cast("placing.Connection", connection.connection.driver_connection)


def _show(found: placing.Plan) -> None:
    for step in found.done:
        click.echo(f"done  {step.what}")
    for step in found.due:
        click.echo(f"to do {step.what}")
        for statement in step.statements:
            click.echo(f"        {statement}")
