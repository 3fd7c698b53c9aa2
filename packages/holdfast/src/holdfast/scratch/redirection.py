"""Redirects a project's env.py to a scratch database, wherever it takes its URL from, and proves that it got there.

While the context is open, every connection that SQLAlchemy makes in it goes to the scratch database, with
the driver and the session options that env.py asked for; and before any statement is sent, its connection
has proved by `current_database()` that it is there: the name is random, no other database has it. An engine that
outlives a run of env.py (a global of the project) keeps connections: none is used on the other side.
"""

import copy
import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from typing import Any

import psycopg
from alembic.config import Config
from psycopg.sql import SQL, Identifier
from sqlalchemy import URL, Connection, Dialect, Engine, NullPool, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from holdfast.engine.settings import ScratchSettings
from holdfast.errors.scratch import NotTheScratchDatabase, ScratchRefused
from holdfast.errors.sqlstate import sqlstate
from holdfast.migrate.run_options import ON_SCRATCH
from holdfast.rewrite.roles import roles_named
from holdfast.rewrite.statement import shortened

# What env.py says about its sessions is kept; where to and as whom is ours to say.
KEPT = frozenset(
    {
        "application_name",
        "autocommit",
        "client_encoding",
        "connection_factory",
        "context",
        "cursor_factory",
        "options",
        "prepare_threshold",
        "prepared_statement_cache_size",
        "prepared_statement_name_func",
        "row_factory",
        "server_settings",
        "statement_cache_size",
    }
)
# Of the drivers' parameters, those that say which database.
PLACE = ("host", "port", "dbname", "database")
# Loggers of env.py's own that the templates of Alembic and Flask-Migrate have; Alembic's are known once it is loaded.
LOGGERS_OF_ENV = ("alembic.env", "flask_migrate")
URL_OPTION = "sqlalchemy.url"
URL_VARIABLE = "DATABASE_URL"


@contextmanager
def redirected_to(url: str, config: Config, *others: str) -> Iterator[Config]:
    """Give a copy of `config` with which env.py runs on the database at `url` (libpq's) in this block.

    Where env.py goes to several databases, the second one that it connects to leads to the first of `others`, and so
    on; those for which nothing is left lead to the last. Nothing of Alembic's progress is logged. An error of the
    driver that leaves the block is a ScratchRefused: nobody takes it for one of the project's own database.
    """
    redirected = copy.copy(config)
    redirected.file_config = copy.deepcopy(config.file_config)
    redirected.attributes = {**config.attributes, ON_SCRATCH: True}
    said = config.get_main_option(URL_OPTION)
    if (
        said is not None
    ):  # an env.py that finds none may go another way, with another kind of engine
        redirected.set_main_option(URL_OPTION, _with_driver_of(said, url))
    with (
        _variable(URL_VARIABLE, _with_driver_of(os.environ.get(URL_VARIABLE), url)),
        _connections_redirected_to((url, *others)),
        _attribute(redirected, url),
        _without_progress(),
    ):
        try:
            yield redirected
        except DBAPIError as error:
            raise refused_by_scratch(error) from error


@contextmanager
def not_redirected() -> Iterator[None]:
    """Let connections go where their URL says, in a block within a redirection."""
    token = GUARD.set(None)
    try:
        yield
    finally:
        GUARD.reset(token)


def refused_by_scratch(error: DBAPIError) -> ScratchRefused:
    """Turn a driver's error on a scratch database into one that nobody takes for the project's own."""
    return ScratchRefused(
        said=str(error.orig).strip(),
        sqlstate=sqlstate(error) or "no SQLSTATE",
        statement=shortened(error.statement or "nothing: there was no connection"),
    )


def _with_driver_of(said: str | None, url: str) -> str:
    """Give the scratch URL, for the driver that the project's own URL names."""
    try:
        driver = make_url(said or "").drivername
    except ArgumentError:
        driver = ""
    name = driver if driver.startswith("postgresql") else "postgresql"
    text = make_url(url).set(drivername=name).render_as_string(hide_password=False)
    return text.replace("%", "%%")


@contextmanager
def _variable(name: str, value: str) -> Iterator[None]:
    """Set an environment variable for the block: env.py may require it, and a revision may read it."""
    before = os.environ.get(name)
    os.environ[name] = value.replace("%%", "%")
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


@contextmanager
def _attribute(config: Config, url: str) -> Iterator[None]:
    """Replace the connection or engine that a program hands to env.py, if any, by one of the same kind."""
    given = config.attributes.get("connection")
    if given is None:
        yield
        return
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), poolclass=NullPool)
    if not isinstance(given, Connection):
        config.attributes["connection"] = engine
        yield
        return
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        yield


@contextmanager
def _without_progress() -> Iterator[None]:
    """Silence Alembic's log of a try: it looks as if the project's own database had been migrated."""
    names = [
        name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "alembic"
    ]
    loggers = [logging.getLogger(name) for name in (*names, *LOGGERS_OF_ENV)]
    for logger in loggers:
        logger.addFilter(_is_said)  # a filter stays when env.py configures logging
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(_is_said)


def _is_said(record: logging.LogRecord) -> bool:
    return GUARD.get() is None or record.levelno >= logging.WARNING


@contextmanager
def _connections_redirected_to(urls: tuple[str, ...]) -> Iterator[None]:
    """Redirect connections in this execution context only; other threads of a program keep theirs."""
    guard = _Guard(urls)
    token = GUARD.set(guard)
    with ExitStack() as closing:
        closing.callback(GUARD.reset, token)
        closing.callback(guard.empty_pools)
        for name in ("do_connect", "engine_connect", "before_cursor_execute"):
            function = getattr(guard, name)
            event.listen(Engine, name, function)
            closing.callback(event.remove, Engine, name, function)
        yield


class _Guard:
    def __init__(self, urls: tuple[str, ...]) -> None:
        self.urls = [make_url(url) for url in urls]
        self.places: list[object] = []  # where env.py wanted to, in the order in which it connected
        # Driver connections, kept alive: an id of one must not be reused.
        self.made: list[Any] = []
        self.proved: list[Any] = []
        self.engines: list[Engine] = []
        self.is_embedded = ScratchSettings().url is None
        self.roles: set[str] = set()  # that were made

    # SQLAlchemy's names and signatures of events.

    def do_connect(
        self, dialect: Dialect, record: object, args: list[Any], parameters: dict[str, Any]
    ) -> Any:
        if GUARD.get() is not self or dialect.name != "postgresql":
            return None
        positional, named = dialect.create_connect_args(self._url_for(args, parameters))
        kept = {name: value for name, value in parameters.items() if name in KEPT}
        self.made.append(dialect.connect(*positional, **(dict(named) | kept)))
        return self.made[-1]

    def _url_for(self, args: list[Any], parameters: dict[str, Any]) -> URL:
        place = (*map(str, args), *(parameters.get(name) for name in PLACE))
        if place not in self.places:
            self.places.append(place)
        return self.urls[min(self.places.index(place), len(self.urls) - 1)]

    def engine_connect(self, connection: Connection) -> None:
        if GUARD.get() is not self or connection.dialect.name != "postgresql":
            return
        self.engines.append(connection.engine)
        if not _is_among(connection.connection.dbapi_connection, self.made):  # from the pool
            _empty_pool(connection.engine)
            connection.invalidate()  # it connects anew

    def before_cursor_execute(
        self, connection: Connection, _: object, statement: str, *__: object
    ) -> None:
        if GUARD.get() is self and connection.dialect.name == "postgresql":
            self._prove(connection.connection.dbapi_connection)
            if self.is_embedded:
                self._make_roles(statement)

    def _make_roles(self, statement: str) -> None:
        """Create the roles that a statement names and that do not exist: an embedded server has none."""
        missing = set(roles_named(statement)) - self.roles
        if not missing:
            return
        url = self.urls[0].render_as_string(hide_password=False)
        with psycopg.connect(url, autocommit=True) as connection:
            for role in sorted(missing):
                with suppress(psycopg.errors.DuplicateObject):
                    # SUPERUSER: what it may do in the project's own database, nobody knows here.
                    connection.execute(SQL("CREATE ROLE {} SUPERUSER").format(Identifier(role)))
        self.roles |= missing

    def _prove(self, connection: Any) -> None:
        if _is_among(connection, self.proved):
            return
        cursor = connection.cursor()
        try:
            cursor.execute("SELECT current_database()")
            [found] = cursor.fetchone()
        finally:
            cursor.close()
        if found not in [url.database for url in self.urls]:
            raise NotTheScratchDatabase(found=found)
        self.proved.append(connection)

    def empty_pools(self) -> None:
        """Empty the pools of every engine that was redirected."""
        for engine in self.engines:
            _empty_pool(engine)


def _empty_pool(engine: Engine) -> None:
    """Empty one pool. An async connection cannot be closed here: the server drops it with its database."""
    engine.dispose(close=not engine.dialect.is_async)


def _is_among(connection: Any, known: list[Any]) -> bool:
    return any(connection is each for each in known)


GUARD: ContextVar[_Guard | None] = ContextVar("guard", default=None)
