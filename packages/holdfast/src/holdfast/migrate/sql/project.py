"""The configuration of SQL files, as every verb takes it: Alembic's, with the source as an attribute."""

from argparse import Namespace
from pathlib import Path

from alembic.config import Config

from holdfast.engine.create_engine import migration_url
from holdfast.engine.settings import Settings
from holdfast.errors.sql import NotForScripts
from holdfast.migrate.sql.find_layout import find_layout
from holdfast.migrate.sql.history import SqlSource
from holdfast.migrate.sql.source import SOURCE, sql_source


def sql_config(
    path: Path, *, layout: str | None = None, settings: Settings | None = None
) -> Config:
    """Make the configuration for SQL files, with the database of the settings. Raises FolderNotUnderstood."""
    config = Config()
    config.cmd_opts = Namespace(x=[], quiet=True, looked=True)
    config.attributes[SOURCE] = SqlSource(
        path=path, layout=find_layout(path, named=layout), settings=settings
    )
    return config


def database_of(source: SqlSource) -> str | None:
    """Give the URL of its database as libpq takes it, password included; None if none is named."""
    settings = source.settings or Settings()
    if settings.url is None:
        return None
    url = migration_url(settings).set(drivername="postgresql")
    return url.render_as_string(hide_password=False)


def require_alembic(config: Config, *, verb: str) -> None:
    """Refuse a verb that needs models or revisions of Alembic. Raises NotForScripts."""
    if sql_source(config) is not None:
        raise NotForScripts(verb=verb)
