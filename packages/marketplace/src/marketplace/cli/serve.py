"""`marketplace serve`: the API alone, on DATABASE_URL, in one process or in several."""

import os

import click
import uvicorn
from uvicorn.supervisors import Multiprocess

from marketplace.errors import NoDatabase
from marketplace.listener import bound_socket
from marketplace.logs import configure_logs
from marketplace.serving import server_config
from marketplace.settings import RateStorage, read_settings

APPLICATION = "marketplace.app:create_app"


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Default: MARKETPLACE_PORT, or 8000.")
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True)
def serve(port: int | None, workers: int) -> None:
    """Serve the API on DATABASE_URL; several processes count rates together, in the database."""
    settings = read_settings()
    if settings.database_url is None:
        raise NoDatabase
    configure_logs(level=settings.log_level.number)
    if workers > 1:  # each reads the environment
        os.environ.setdefault("MARKETPLACE_RATE_STORAGE", RateStorage.DATABASE.value)
    with bound_socket(host=settings.host, port=port or settings.port) as listener:
        config = server_config(APPLICATION, factory=True, workers=workers)
        if workers > 1:
            Multiprocess(config, sockets=[listener]).run()
        else:
            uvicorn.Server(config).run(sockets=[listener])
