"""Databases for tests: fresh ones, and copies of a template that is built once."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

import psycopg
from psycopg import sql


@dataclass(frozen=True, slots=True, kw_only=True)
class Postgres:
    """A server to test on; its databases are named apart from those of other workers and runs."""

    server_url: str
    major: int
    _prefix: str = field(default_factory=lambda: f"test_{secrets.token_hex(4)}")
    _templates: dict[object, str] = field(default_factory=dict)

    def url(self, database: str) -> str:
        """The URL of one of its databases, for libpq and SQLAlchemy."""
        return urlsplit(self.server_url)._replace(path="/" + quote(database, safe="")).geturl()

    def create(self, *, template: str = "template0") -> str:
        """A new database; gives its name."""
        name = f"{self._prefix}_{secrets.token_hex(4)}"
        statement = "CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY"
        self._execute(statement, name, template)
        return name

    def drop(self, database: str) -> None:
        """Gone, with whatever is still connected to it."""
        self._execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", database)

    @contextmanager
    def database(self, *, template: str = "template0") -> Iterator[str]:
        """A new database for the block; gives its URL."""
        name = self.create(template=template)
        try:
            yield self.url(name)
        finally:
            self.drop(name)

    def template(self, key: object, build: Callable[[str], None]) -> str:
        """The name of a database that `build` filled, given its URL: once per key and worker."""
        if key not in self._templates:
            name = self.create()
            build(self.url(name))
            self._templates[key] = name
        return self._templates[key]

    def drop_templates(self) -> None:
        """At the end of a run."""
        while self._templates:
            self.drop(self._templates.popitem()[1])

    def _execute(self, statement: str, *names: str) -> None:
        with psycopg.connect(self.server_url, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def postgres_at(url: str) -> Postgres:
    """The server at a URL; SQLAlchemy's form of it is fine."""
    scheme, rest = url.split("://", 1)
    server_url = f"{scheme.split('+')[0]}://{rest}"
    with psycopg.connect(server_url) as connection:
        return Postgres(server_url=server_url, major=connection.info.server_version // 10000)
