"""Tells the databases of a project apart if its env.py goes through several, as that of `-t multidb` does.

env.py calls run_migrations once for each: a pass. Passes to one database belong together, and what is tried on a
scratch server is tried for one database at a time, or for each on a scratch database of its own.
"""

import copy

from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import URL

from holdfast.errors.light_dataclass import light_dataclass

ONLY = (
    "holdfast_only_database"  # in Config.attributes: the number of the database whose passes count
)
# Also in Config.attributes: the number of the one pass to that database that counts.
ONLY_PASS = "holdfast_only_pass"  # noqa: S105  # a pass through env.py


@light_dataclass
class ConfiguredDatabase:
    """One database of a project, in the order in which env.py comes to them."""

    number: int
    name: str


class Passes:
    """Counts the calls of run_migrations in one run of env.py."""

    def __init__(self, *, only: int | None, only_pass: int | None) -> None:
        self.only = only
        self.only_pass = only_pass
        self._urls: list[URL] = []
        self._passes = 0  # to the database that is wanted

    def next(self, context: MigrationContext) -> ConfiguredDatabase | None:
        """Give the database of the call that begins; None if another call or database is wanted."""
        assert context.connection is not None  # noqa: S101  # only None in offline mode
        url = context.connection.engine.url
        place = URL.create(
            "postgresql", host=url.host, port=url.port, database=url.database, query=url.query
        )
        if place not in self._urls:
            self._urls.append(place)
        number = self._urls.index(place)
        if self.only is not None and number != self.only:
            return None
        self._passes += 1
        if self.only_pass is not None and self._passes - 1 != self.only_pass:
            return None
        return ConfiguredDatabase(number=number, name=url.database or "unnamed")


def passes_of(config: Config) -> Passes:
    """Give the counter for one run of env.py with this configuration."""
    attributes = config.attributes
    return Passes(only=attributes.get(ONLY), only_pass=attributes.get(ONLY_PASS))


def only(config: Config, database: ConfiguredDatabase) -> Config:
    """Restrict the project to this database."""
    return _restricted(config, ONLY, database.number)


def only_pass(config: Config, number: int) -> Config:
    """Restrict the project to one call of run_migrations: one of several version tables of a database."""
    return _restricted(config, ONLY_PASS, number)


def _restricted(config: Config, what: str, number: int) -> Config:
    restricted = copy.copy(config)
    restricted.attributes = {**config.attributes, what: number}
    return restricted
