"""Tells a project of SQL files from one of Alembic, without loading what reads such files."""

from typing import TYPE_CHECKING

from alembic.config import Config

if TYPE_CHECKING:
    from holdfast.migrate.sql.history import SqlSource

SOURCE = "holdfast_sql_source"  # in Config.attributes


def sql_source(config: Config | None) -> "SqlSource | None":
    """Give the SQL files of a configuration; None for an Alembic project."""
    found: SqlSource | None = None if config is None else config.attributes.get(SOURCE)
    return found
