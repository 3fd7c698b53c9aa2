"""Tells PgBouncer on its admin console, where HOLDFAST_POOLER_ADMIN_URL names it, that a table has changed its shape.

Statements that are prepared in its server connections rely on the old shape, and nobody behind a pooler can LISTEN. Its
RECONNECT gives each of these connections up as soon as it is free: https://www.pgbouncer.org/usage.html
"""

import logging
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from holdfast.engine.connection.database_url import UrlParts, arguments_of, hosts, split_url
from holdfast.execute.progress import PoolerNotTold, Report

log = logging.getLogger(__name__)

CONSOLE = "pgbouncer"  # its own database, where the URL names none
SECONDS = 5


@dataclass(slots=True, kw_only=True)
class PoolerConsole:
    """The admin console of one pooler; a connection each time, because changes are rare."""

    url: str
    report: Report
    has_told: bool = False  # that it does not answer

    def reconnect(self, database: str) -> None:
        """Renew the pooler's connections to a database; all of them if it knows the database by another name.

        The change is committed: what fails here is reported once, and the run goes on.
        """
        parts = split_url(self.url)
        try:
            with psycopg.connect(**_arguments(parts), autocommit=True) as connection:
                try:
                    connection.execute(sql.SQL("RECONNECT {}").format(sql.Identifier(database)))
                except psycopg.DatabaseError:
                    log.debug("the pooler does not know %s", database, exc_info=True)
                    connection.execute("RECONNECT")
        except psycopg.Error as error:
            if not self.has_told:
                self.has_told = True
                name = f"{','.join(hosts(parts.address)) or 'local'}:{parts.address.port or 5432}"
                problem = str(error).strip().partition("\n")[0]
                self.report(PoolerNotTold(pooler=name, problem=problem))


def _arguments(parts: UrlParts) -> dict[str, Any]:
    """Give libpq's connection arguments."""
    more = {
        "dbname": None if parts.address.database else CONSOLE,
        "password": parts.password,
        "sslmode": parts.sslmode,
        "sslrootcert": parts.sslrootcert,
        "connect_timeout": SECONDS,
    }
    return {**arguments_of(parts.address), **{k: v for k, v in more.items() if v}}
