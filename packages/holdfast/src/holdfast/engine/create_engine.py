"""Makes an engine from settings: TLS, timeouts and password on every connection, the sized pool, SQL logging.

Every option of SQLAlchemy's create_engine may be added, also another `poolclass`.
"""

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import sqlalchemy
from sqlalchemy import URL, Engine, NullPool, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError
from sqlalchemy.util.concurrency import await_only

from holdfast.engine.cached_plans import heal_cached_plans
from holdfast.engine.changed_shapes import listen_for_changed_shapes
from holdfast.engine.connection.connection_parameters import connection_parameters
from holdfast.engine.connection.database_url import pool_name
from holdfast.engine.connection.system_ca import ca_file
from holdfast.engine.pool.eviction import evict_when_server_leaves
from holdfast.engine.pool.limits import OnReturn
from holdfast.engine.pool.session_state import discard_all_on_return
from holdfast.engine.pool.sized import AsyncSizedPool, SizedPool
from holdfast.engine.profiles import Pooler, SqlLog
from holdfast.engine.settings import Settings, variable_of_url
from holdfast.engine.variables import OF_ENVIRONMENT
from holdfast.errors.connection import CannotConnect, Profiled, cannot_connect, tried
from holdfast.errors.settings import NoDatabaseUrl
from holdfast.errors.sqlstate import sqlstate

if TYPE_CHECKING:  # it brings the ORM along, which `holdfast run` does without
    from sqlalchemy.ext.asyncio import AsyncEngine


def create_engine(settings: Settings, **options: Any) -> Engine:
    """Make an engine for synchronous code, with the sized pool. `options` are those of SQLAlchemy's create_engine."""
    url = database_url(settings)
    engine = sqlalchemy.create_engine(url, **_options(settings, url, SizedPool, options))
    _listen(engine, settings)
    return engine


def create_async_engine(settings: Settings, **options: Any) -> "AsyncEngine":
    """Make an engine for an event loop, with the sized pool. `options` are those of SQLAlchemy's."""
    from sqlalchemy.ext import asyncio as sqlalchemy_asyncio

    url = database_url(settings)
    arguments = _options(settings, url, AsyncSizedPool, options)
    engine = sqlalchemy_asyncio.create_async_engine(url, **arguments)
    _listen(engine.sync_engine, settings)
    return engine


def create_migration_engine(settings: Settings) -> Engine:
    """Make the engine of `env.py`: one connection at a time, without the timeouts that requests have.

    With HOLDFAST_MIGRATION_URL it leads there.
    """
    settings = settings.for_migrations()
    url = database_url(settings)
    options = _options(settings, url, NullPool, {"poolclass": NullPool})
    options["connect_args"].pop("options", None)
    options["execution_options"] = {OF_ENVIRONMENT: settings.is_of_environment}
    engine = sqlalchemy.create_engine(url, **options)
    _log_statements(engine, settings)
    _supply_password(engine, settings)
    return engine


def migration_url(settings: Settings) -> URL:
    """Give one URL with everything that a connection needs, the password too, for code that knows no settings."""
    settings = settings.for_migrations()
    url = database_url(settings)
    parameters = connection_parameters(settings, url=url, ca_file=ca_file(settings.tls_ca))
    unlimited = replace(parameters, options=None).as_arguments(url)
    return url.update_query_dict({name: str(value) for name, value in unlimited.items()}).set(
        password=settings.read_password()
    )


def database_url(settings: Settings) -> URL:
    """Give the database's address, without the password. Raises NoDatabaseUrl."""
    if settings.url is None:
        raise NoDatabaseUrl(variable="DATABASE_URL")
    return settings.url


def connect_arguments(settings: Settings, url: URL) -> dict[str, Any]:
    """Give the arguments that psycopg gets besides the URL, except the password."""
    parameters = connection_parameters(settings, url=url, ca_file=ca_file(settings.tls_ca))
    arguments: dict[str, Any] = dict(parameters.as_arguments(url))
    if settings.pooler is Pooler.TRANSACTION:
        # The next transaction may run on a server connection without our prepared statements.
        arguments["prepare_threshold"] = None
    return arguments


def explained(error: BaseException, settings: Settings) -> CannotConnect:
    """Explain a failed connection: what was tried, and which setting says so."""
    url = database_url(settings)
    named = url.get_dialect()().create_connect_args(url)[1]
    arguments = {**named, **connect_arguments(settings, url)}
    return cannot_connect(
        str(error.orig if isinstance(error, DBAPIError) else error),
        to=tried(arguments),
        setting=variable_of_url(),
        ours=Profiled(profile=settings.profile, tls=settings.tls),
    )


def _options(
    settings: Settings, url: URL, poolclass: type[object], options: dict[str, Any]
) -> dict[str, Any]:
    own: dict[str, Any] = {
        "connect_args": connect_arguments(settings, url) | options.pop("connect_args", {}),
        "hide_parameters": settings.log_sql is not SqlLog.PARAMETERS,
        "logging_name": settings.application_name,
    }
    if "poolclass" not in options:
        own |= {"poolclass": poolclass, "limits": settings.pool, "name": pool_name(url)}
    return own | options


def _listen(engine: Engine, settings: Settings) -> None:
    evict_when_server_leaves(engine)
    heal_cached_plans(engine)
    if not settings.is_pooled and settings.pool.on_return is not OnReturn.DISCARD_ALL:
        listen_for_changed_shapes(engine)
    if settings.pool.on_return is OnReturn.DISCARD_ALL:
        discard_all_on_return(engine)
    _explain_failed_connections(engine, settings)
    _log_statements(engine, settings)
    _supply_password(engine, settings)


def _explain_failed_connections(engine: Engine, settings: Settings) -> None:
    """Add a note to the driver's error: what was tried, and which setting says so."""

    @event.listens_for(engine, "handle_error")
    def add_note(context: ExceptionContext) -> None:
        error = context.sqlalchemy_exception
        if context.connection is None and error is not None and sqlstate(error) is None:
            error.add_note(str(explained(error, settings)))


def _log_statements(engine: Engine, settings: Settings) -> None:
    # Not `echo`: it adds a handler that prints to stdout, where the results of commands go.
    if settings.log_sql is not SqlLog.OFF:
        logging.getLogger(f"sqlalchemy.engine.Engine.{engine.logging_name}").setLevel(logging.INFO)


def _supply_password(engine: Engine, settings: Settings) -> None:
    """Read the password anew for each connection: passwords rotate, and no URL or argument ever holds one."""
    if not settings.has_password:
        return

    @event.listens_for(engine, "do_connect")
    def add_password(dialect: Any, record: Any, arguments: Any, parameters: Any) -> None:
        if dialect.is_async:  # a callable or a file may block
            parameters["password"] = await_only(asyncio.to_thread(settings.read_password))
        else:
            parameters["password"] = settings.read_password()
