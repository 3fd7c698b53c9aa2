"""`marketplace cleanup`: deletes what is past its time."""

import asyncio

import click

from marketplace.cleanup import clean_up
from marketplace.cli.expire_orders import expire_all
from marketplace.server import database_of_command, visited_database
from marketplace.settings import read_settings


@click.command()
def cleanup() -> None:
    """Delete what is past its time: for a daily timer; two at once do no harm."""
    settings = read_settings()
    with database_of_command(settings) as database:
        for cleaned in clean_up(database.engine, settings):
            click.echo(f"{cleaned.name}: {cleaned.rows} rows")
    with visited_database(settings) as url:
        expired = asyncio.run(expire_all(url, settings=settings))
    click.echo(f"expired orders: {expired} rows")
