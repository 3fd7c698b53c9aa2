"""`marketplace demo`: the usual way and ours side by side, on a throw-away PostgreSQL."""

import click

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
