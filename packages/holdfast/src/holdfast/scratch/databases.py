"""Makes databases on a server: fresh ones, and copies of a template that is built once."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Self

import psycopg
from psycopg import sql
from sqlalchemy import URL, make_url

from holdfast.errors.scratch import ScratchOutOfReach

# The timeouts that a role of somebody's server may have, and that would end what is tried there.
LIMITS = """
    SELECT name FROM pg_settings WHERE setting <> '0' AND source NOT IN ('client', 'session') AND name IN
      ('idle_in_transaction_session_timeout', 'idle_session_timeout', 'statement_timeout', 'transaction_timeout')
"""
# A database is copied only while nobody is connected to it; a pool of `build` may still be.
CUT_OFF = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = %s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Postgres:
    """A server to try things on; no other process or run uses the names of its databases."""

    _server: URL
    major: int
    _prefix: str
    _templates: dict[object, str] = field(default_factory=dict)
    _empty: str = "template0"
    _kept: psycopg.Connection | None = None
    _limits: tuple[str, ...] = ()  # timeouts of its role, which its databases do not have

    @contextmanager
    def in_one_session(self) -> Iterator[Self]:
        """Give the same server, with one session that creates and drops all databases."""
        with psycopg.connect(self._address, autocommit=True) as kept:
            kept.execute("SET idle_session_timeout = 0")  # it waits while a history is replayed
            yield replace(self, _kept=kept)

    @contextmanager
    def for_many_databases(self) -> Iterator[Self]:
        """Give the same for callers that make thousands: each costs half, all are dropped at the end.

        An empty one is a copy of one that a session has been in: that session has left what every first session
        works out anew (the file pg_internal.init).
        """
        with self.in_one_session() as quick:
            try:
                yield replace(quick, _empty=quick.template(_visit, _visit))
            finally:
                quick.drop_templates()

    def url(self, database: str) -> str:
        """Give the URL of one of its databases, for libpq and SQLAlchemy."""
        return self._server.set(database=database).render_as_string(hide_password=False)

    def create(self, *, template: str | None = None) -> str:
        """Create a database, empty if no template is named, and give its name."""
        name = f"{self._prefix}_{secrets.token_hex(4)}"
        # On a server without fsync faster than WAL_LOG, the larger the template the more so.
        template = template or self._empty
        self._execute("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY", name, template)
        for limit in self._limits:
            self._execute("ALTER ROLE CURRENT_USER IN DATABASE {} SET {} = 0", name, limit)
        return name

    def drop(self, database: str) -> None:
        """Drop a database, with whatever is still connected to it."""
        self._execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", database)

    @contextmanager
    def database(self, *, template: str | None = None) -> Iterator[str]:
        """Create a database for the block and give its URL."""
        name = self.create(template=template)
        try:
            yield self.url(name)
        finally:
            self.drop(name)

    def template(self, key: object, build: Callable[[str], None]) -> str:
        """Give the name of a database filled by `build`, given its URL: once per key, module of `build`, and worker."""
        within = (getattr(build, "func", build).__module__, key)
        if within not in self._templates:
            self._templates[within] = self._built(build)
        return self._templates[within]

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
                if "statement_timeout" in self._limits:
                    session.execute("SET statement_timeout = 0")
                session.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
        except psycopg.Error as error:
            raise ScratchOutOfReach(said=str(error).strip()) from error

    def _session(self) -> AbstractContextManager[psycopg.Connection]:
        if self._kept is not None and not self._kept.closed:
            return nullcontext(self._kept)
        return psycopg.connect(self._address, autocommit=True)

    @property
    def _address(self) -> str:
        return self._server.render_as_string(hide_password=False)


def _visit(url: str) -> None:
    psycopg.connect(url).close()


def libpq_url(url: str) -> str:
    """Give a URL in libpq's form, from SQLAlchemy's or libpq's own."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def postgres_at(url: str, *, prefix: str = "test") -> Postgres:
    """Give the server at a URL, libpq's or SQLAlchemy's; its databases' names begin with `prefix`."""
    with psycopg.connect(libpq_url(url)) as connection:
        limits = tuple(name for (name,) in connection.execute(LIMITS))
        return Postgres(
            _limits=limits,
            _server=make_url(libpq_url(url)),
            major=connection.info.server_version // 10000,
            _prefix=f"{prefix}_{secrets.token_hex(4)}",
        )
