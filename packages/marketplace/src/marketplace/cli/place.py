"""`marketplace place`: divide the database among the servers of a cluster."""

import click
import psycopg

from marketplace import placing


@click.command()
@click.option("--citus", required=True, metavar="URL", help="The database on its coordinator.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def place(citus: str, yes: bool) -> None:
    """Divide the database by user on a Citus cluster, while nobody uses it. Safe to run again."""
    with psycopg.connect(citus, autocommit=True) as connection:
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


def _show(found: placing.Plan) -> None:
    for step in found.done:
        click.echo(f"done  {step.what}")
    for step in found.due:
        click.echo(f"to do {step.what}")
        for statement in step.statements:
            click.echo(f"        {statement}")
