"""`marketplace expire-orders`: cancels what nobody paid for, and returns its stock."""

import asyncio

import click
from sqlalchemy import URL, NullPool
from sqlalchemy.ext.asyncio import create_async_engine

from marketplace.database import Transactions
from marketplace.orders.service import expiry
from marketplace.server import visited_database
from marketplace.settings import read_settings


@click.command(name="expire-orders")
def expire_orders() -> None:
    """Cancel orders that were not paid in 15 minutes: for a timer; two at once do no harm."""
    with visited_database(read_settings()) as url:
        click.echo(f"expired orders: {expire_all(url)} rows")


def expire_all(url: URL) -> int:
    """Cancel every order that is overdue; gives how many there were."""
    return asyncio.run(_expire_all(url))


async def _expire_all(url: URL) -> int:
    engine = create_async_engine(url, poolclass=NullPool)
    return await expiry.expire_orders(Transactions.on(engine))
