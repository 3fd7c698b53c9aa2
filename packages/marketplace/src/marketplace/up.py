"""`./dev up`: a database, its schema, demo data on the first start, and the API on top."""

import socket
from collections.abc import Callable
from dataclasses import dataclass

import uvicorn
from pydantic import SecretStr
from sqlalchemy import URL, Engine, text
from sqlalchemy.orm import Session

from holdfast import Database, Profile
from marketplace import demo_data
from marketplace.app import create_app
from marketplace.database import database_settings
from marketplace.entities import Role
from marketplace.errors import UnsupportedServer
from marketplace.listener import bound_socket
from marketplace.logs import configure_logs
from marketplace.server import explained_errors, owned_database, shown, with_kept_key
from marketplace.serving import server_config
from marketplace.settings import Settings

SUPPORTED = range(15, 19)


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What is running: the address of the API, the database without its password, the demo users."""

    address: str
    database: str
    logins: tuple[tuple[str, Role], ...]


def serve(settings: Settings, *, announce: Callable[[Serving], None]) -> None:
    """Serve until told to stop; `announce` is called once requests are answered.

    Whatever it started ends with it. Raises `HoldfastError`.
    """
    configure_logs(level=settings.log_level.number)
    with (
        bound_socket(host=settings.host, port=settings.port) as listener,
        owned_database(settings) as url,
    ):
        logins = _prepare(settings, url)
        app = create_app(_complete(settings, url))
        serving = Serving(
            address=f"http://{_in_url(settings.host)}:{settings.port}",
            database=shown(url),
            logins=logins,
        )
        config = server_config(app)
        server = _Server(config, announce=lambda: announce(serving))
        server.run(sockets=[listener])


def _complete(settings: Settings, url: URL) -> Settings:
    """Give the settings with the database, and the key of its sessions."""
    secret = SecretStr(url.render_as_string(hide_password=False))
    return with_kept_key(settings).model_copy(update={"database_url": secret})


class _Server(uvicorn.Server):
    """A server that calls `announce` once it serves."""

    def __init__(self, config: uvicorn.Config, *, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce()


def _prepare(settings: Settings, url: URL) -> tuple[tuple[str, Role], ...]:
    """Migrate, and in development load the demo data; give the demo logins."""
    database = Database(database_settings(url, profile=settings.profile))
    try:
        with explained_errors(url):
            _require_supported(database.engine)
            database.start()
            if settings.profile is Profile.PRODUCTION:
                return ()  # its passwords are in this repository
            with Session(database.engine) as session:
                demo_data.load_demo_data(session)
                return tuple(demo_data.demo_logins(session))
    finally:
        database.stop()


def _require_supported(engine: Engine) -> None:
    with engine.connect() as connection:
        major = int(connection.scalar(text("SHOW server_version_num")) or 0) // 10_000
    if major not in SUPPORTED:
        raise UnsupportedServer(database=shown(engine.url), major=major)


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
