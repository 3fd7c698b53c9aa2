"""`marketplace cleanup`: deletes what is past its time."""

import click
from sqlalchemy import NullPool, create_engine

from marketplace.cleanup import clean_up
from marketplace.cli.expire_orders import expire_all
from marketplace.server import visited_database
from marketplace.settings import read_settings


@click.command()
def cleanup() -> None:
    """Delete what is past its time: for a daily timer; two at once do no harm."""
    settings = read_settings()
    with visited_database(settings) as url:
        for cleaned in clean_up(create_engine(url, poolclass=NullPool), settings):
            click.echo(f"{cleaned.name}: {cleaned.rows} rows")
        click.echo(f"expired orders: {expire_all(url)} rows")
