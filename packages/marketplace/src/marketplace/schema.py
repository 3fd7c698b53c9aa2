"""The schema of the database: this package's migrations, and whether they are applied."""

from functools import cache

from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

import holdfast


def migration_config() -> Config:
    """Give what Alembic and holdfast need to find the migrations."""
    config = Config()
    config.set_main_option("script_location", "marketplace:migrations")
    config.set_main_option("path_separator", "os")
    return config


def upgrade(connection: Connection) -> None:
    """Apply the migrations that are pending."""
    config = migration_config()
    config.attributes["connection"] = connection
    holdfast.upgrade(config, "head")


@cache
def known_revisions() -> tuple[str, ...]:
    """Give every revision of this package, the newest first."""
    script = ScriptDirectory.from_config(migration_config())
    return tuple(revision.revision for revision in script.walk_revisions())


def applied_revision(connection: Connection) -> str | None:
    """Give the revision that the database is at; None for a database without one."""
    return MigrationContext.configure(connection).get_current_revision()
