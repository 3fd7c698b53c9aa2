"""`marketplace demo`: the usual way and ours side by side, on a throw-away PostgreSQL."""

import click

from marketplace.demos.oversell import oversell
from marketplace.demos.refresh_storm import refresh_storm


@click.group()
def demo() -> None:
    """Show a race: the usual way and ours, with numbers."""


@demo.command(name="refresh-storm")
@click.option("--bursts", type=click.IntRange(1, 1000), default=10, show_default=True)
@click.option("--requests", type=click.IntRange(2, 200), default=20, show_default=True)
def show_refresh_storm(bursts: int, requests: int) -> None:
    """Some tabs of one browser refresh with the same token at the same time."""
    click.echo(f"{bursts} bursts, in each {requests} requests with the same refresh token\n")
    click.echo(
        f"{'':<22}{'answered':>10}{'refused':>10}{'failed':>8}{'live tokens':>13}{'sessions lost':>15}"
    )
    for storm in refresh_storm(bursts=bursts, requests=requests):
        click.echo(
            f"{storm.way:<22}{storm.answered:>10}{storm.refused:>10}{storm.failed:>8}"
            f"{storm.most_live_tokens:>13}{storm.sessions_lost:>15}"
        )
    click.echo(
        "\nfailed: a deadlock, or another error of the database."
        "\nlive tokens: the most that one session had after a burst; 1 is right."
        "\nsessions lost: the user has to log in again, though nobody stole anything."
    )


@demo.command(name="oversell")
@click.option("--units", type=click.IntRange(1, 100_000), default=200, show_default=True)
@click.option("--buyers", type=click.IntRange(1, 100_000), default=320, show_default=True)
def show_oversell(units: int, buyers: int) -> None:
    """More buyers than units, all at the same time."""
    click.echo(f"{buyers} buyers of {units} units, 16 at a time\n")
    click.echo(f"{'':<22}{'sold':>8}{'refused':>9}{'oversold':>10}{'stock says':>12}{'seconds':>9}")
    for sale in oversell(units=units, buyers=buyers):
        click.echo(
            f"{sale.way:<22}{sale.sold:>8}{sale.refused:>9}{sale.oversold:>10}"
            f"{sale.stock_says:>12}{sale.seconds:>9.1f}"
        )
    click.echo(
        "\noversold: units that were sold and do not exist."
        "\nstock says: what the column holds afterwards; 0 is right."
    )
