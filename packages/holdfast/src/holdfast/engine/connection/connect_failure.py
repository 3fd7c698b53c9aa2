"""Recognises errors of a driver that mean "no connection", and explains them by what was tried."""

from collections.abc import Mapping, Sequence
from socket import gaierror
from typing import Any

from sqlalchemy.exc import DBAPIError

from holdfast.engine.create_engine import explained
from holdfast.engine.settings import Settings, variable_of_url
from holdfast.errors.connection import (
    OF_ENV_PY,
    CannotConnect,
    Profiled,
    Tried,
    cannot_connect,
    tried,
)
from holdfast.errors.settings import InvalidSettings, RefusedSetting, UnknownVariable
from holdfast.errors.sqlstate import sqlstate

# Classes of SQLSTATE with which a server ends a connection before it is one: connection exception, invalid
# authorization, invalid catalog name, insufficient resources, operator intervention.
REFUSES_CONNECTION = ("08", "28", "3D", "53", "57P")
# Only an engine made from holdfast's settings passes this argument.
OURS = "tcp_user_timeout"
UNUSABLE = (InvalidSettings, RefusedSetting, UnknownVariable)


def is_no_connection(error: BaseException) -> bool:
    """Whether the error, of whatever driver, says that there was no connection at all."""
    state = sqlstate(error)
    is_refusal = state is None or state.startswith(REFUSES_CONNECTION)
    if isinstance(error, DBAPIError):
        return error.statement is None and is_refusal
    if isinstance(error, OSError):  # asyncpg leaves them as they are
        return isinstance(error, ConnectionError | TimeoutError | gaierror)
    return type(error).__module__.startswith("asyncpg") and is_refusal


def explain_by_settings(error: BaseException, settings: Settings) -> CannotConnect | None:
    """Explain a failed connection of an application, whose engine was made from the settings."""
    if settings.url is None or not is_no_connection(error):
        return None
    return explained(error, settings)


def explain_by_project(
    error: BaseException, arguments: Mapping[str, Any], *, written: Sequence[tuple[str, str]]
) -> CannotConnect | None:
    """Explain a failed connection of a command, whose engine env.py made with these driver arguments.

    `written`: each URL that stands in a file of the project, with the name of the file.
    """
    if not is_no_connection(error):
        return None
    to, settings = tried(arguments), _settings()
    if settings is not None and settings.url is not None and _is_same(settings, to):
        setting = variable_of_url()
    elif (
        settings is not None and settings.migration_url and _is_same(settings.for_migrations(), to)
    ):
        setting = "HOLDFAST_MIGRATION_URL"
    else:
        file = next((file for url, file in written if _names(url, to)), None)
        setting = OF_ENV_PY if file is None else f"sqlalchemy.url in {file}"
    is_ours = settings is not None and OURS in arguments
    ours = Profiled(profile=settings.profile, tls=settings.tls) if settings and is_ours else None
    return cannot_connect(_said(error), to=to, setting=setting, ours=ours)


def _settings() -> Settings | None:
    try:
        return Settings()
    except UNUSABLE:
        return None


def _is_same(settings: Settings, to: Tried) -> bool:
    assert settings.url is not None  # noqa: S101  # asked by the caller
    arguments = settings.url.get_dialect()().create_connect_args(settings.url)[1]
    named = tried(arguments)
    return (named.host, named.port, named.database) == (to.host, to.port, to.database)


def _names(url: str, to: Tried) -> bool:
    return to.database in url and to.host.split(",")[0] in url


def _said(error: BaseException) -> str:
    return str(error.orig if isinstance(error, DBAPIError) else error)
