"""`marketplace expire-orders`: cancels what nobody paid for, and returns its stock."""

import asyncio

import click
from sqlalchemy import URL

from marketplace.orders.service import expiry
from marketplace.server import transactions_of_command, visited_database
from marketplace.settings import Settings, read_settings


@click.command(name="expire-orders")
def expire_orders() -> None:
    """Cancel orders that were not paid in time: for a timer; two at once do no harm."""
    settings = read_settings()
    with visited_database(settings) as url:
        click.echo(f"expired orders: {asyncio.run(expire_all(url, settings=settings))} rows")


async def expire_all(url: URL, *, settings: Settings) -> int:
    """Cancel every order that is overdue; gives how many there were."""
    async with transactions_of_command(url, profile=settings.profile) as transactions:
        return await expiry.expire_orders(
            transactions,
            older_than=settings.order.unpaid_for,
            scarce_older_than=settings.order.unpaid_for_low_stock,
        )
