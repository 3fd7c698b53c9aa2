"""Databases on a server: fresh ones, and copies of a template that is built once."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psycopg
from psycopg import sql
from sqlalchemy import URL, make_url

from holdfast.errors.scratch import ScratchOutOfReach

# A database is copied only while nobody is connected to it; a pool of `build` may still be.
CUT_OFF = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Postgres:
    """A server to try on; its databases have names that no other process and no other run has."""

    _server: URL
    major: int
    _prefix: str
    _templates: dict[object, str] = field(default_factory=dict)

    def url(self, database: str) -> str:
        """The URL of one of its databases, for libpq and SQLAlchemy."""
        return self._server.set(database=database).render_as_string(hide_password=False)

    def create(self, *, template: str = "template0") -> str:
        """Create an empty database and give its name."""
        name = f"{self._prefix}_{secrets.token_hex(4)}"
        # On a server without fsync faster than WAL_LOG, the larger the template the more so.
        self._execute("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY", name, template)
        return name

    def drop(self, database: str) -> None:
        """Drop a database, with whatever is still connected to it."""
        self._execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", database)

    @contextmanager
    def database(self, *, template: str = "template0") -> Iterator[str]:
        """Create a database for the block and give its URL."""
        name = self.create(template=template)
        try:
            yield self.url(name)
        finally:
            self.drop(name)

    def template(self, key: object, build: Callable[[str], None]) -> str:
        """The name of a database that `build` filled, given its URL: once per key and worker."""
        if key not in self._templates:
            self._templates[key] = self._built(build)
        return self._templates[key]

    def drop_templates(self) -> None:
        """Drop all templates; called at the end of a run."""
        while self._templates:
            self.drop(self._templates.popitem()[1])

    def _built(self, build: Callable[[str], None]) -> str:
        name = self.create()
        try:
            build(self.url(name))
            with self._session() as session:
                session.execute(CUT_OFF, [name])
        except BaseException:
            self.drop(name)
            raise
        return name

    def _execute(self, statement: str, *names: str) -> None:
        try:
            with self._session() as session:
                session.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
        except psycopg.Error as error:
            raise ScratchOutOfReach(said=str(error).strip()) from error

    def _session(self) -> psycopg.Connection:
        url = self._server.render_as_string(hide_password=False)
        return psycopg.connect(url, autocommit=True)


def libpq_url(url: str) -> str:
    """Give a URL in libpq's form, from SQLAlchemy's or libpq's own."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def postgres_at(url: str, *, prefix: str = "test") -> Postgres:
    """The server at a URL, libpq's or SQLAlchemy's; its databases will be called `prefix` and something."""
    with psycopg.connect(libpq_url(url)) as connection:
        return Postgres(
            _server=make_url(libpq_url(url)),
            major=connection.info.server_version // 10000,
            _prefix=f"{prefix}_{secrets.token_hex(4)}",
        )
