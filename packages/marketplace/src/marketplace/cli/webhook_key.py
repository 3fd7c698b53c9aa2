"""`marketplace webhook-key`: shows the key that the payment provider signs with."""

import click

from marketplace.server import with_kept_key
from marketplace.settings import read_settings


@click.command(name="webhook-key")
def webhook_key() -> None:
    """Show the key for the payment provider: derived from the server key where it has none of its own."""
    click.echo(with_kept_key(read_settings()).keys_of_payments[0].get_secret_value())
