"""Resets what a server session remembers: settings, role, locks, temporary tables, LISTEN, prepared statements.

`DISCARD ALL` makes it forget all of that, the settings too that the application makes when a connection is opened
(listeners of SQLAlchemy's `connect` event): those are read before, and made again. The connections are SQLAlchemy's,
sync or adapted to an event loop. See the manual, "DISCARD".
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event

from holdfast.engine.changed_shapes import LISTEN, is_listening

Settings = list[tuple[str, str]]

KEPT = "holdfast.session_settings"  # in SQLAlchemy's `info` of a connection
DISCARD = "DISCARD ALL"
# A row for each setting that was made in this session, by SET or set_config; a role is none of pg_settings.
MADE_HERE = """
    SELECT name, setting FROM pg_settings
    WHERE source = 'session' AND NOT starts_with(name, 'transaction_') AND context <> 'internal'
    UNION ALL SELECT 'role', current_setting('role') WHERE current_setting('role') <> 'none'
"""
MAKE_AGAIN = """
    SELECT set_config(s.name, s.setting, false)
    FROM unnest(%s::text[], %s::text[]) AS s (name, setting)
"""


def session_settings(connection: Any) -> Settings:
    """Give the settings that were made in this session; the connection is in no transaction."""
    with _in_autocommit(connection) as cursor:
        cursor.execute(MADE_HERE)
        return [(str(name), str(setting)) for name, setting in cursor.fetchall()]


def discard_all(connection: Any, *, kept: Settings) -> None:
    """Make the session forget all but these settings; the connection is in no transaction."""
    driver = getattr(connection, "driver_connection", connection)
    driver._prepared.clear()  # noqa: SLF001  # before 3.3.5 psycopg does not notice
    with _in_autocommit(connection) as cursor:
        cursor.execute(DISCARD)
        if is_listening(driver):
            cursor.execute(LISTEN)
        if kept:
            names, settings = zip(*kept, strict=True)
            cursor.execute(MAKE_AGAIN, (list(names), list(settings)))


def discard_all_on_return(engine: Engine) -> None:
    """Reset the session of every connection that goes back to the pool of this engine."""
    event.listen(engine, "checkout", _keep)
    event.listen(engine, "reset", _reset)


def _keep(connection: Any, record: Any, _: Any) -> None:
    # Read now, not when it was opened: by now the application's listeners have made their settings.
    if KEPT not in record.info:
        record.info[KEPT] = session_settings(connection)


def _reset(connection: Any, record: Any, state: Any) -> None:
    if not state.terminate_only and state.asyncio_safe:
        connection.rollback()
        discard_all(connection, kept=record.info.get(KEPT, []))


@contextmanager
def _in_autocommit(connection: Any) -> Iterator[Any]:
    before, connection.autocommit = connection.autocommit, True
    cursor = connection.cursor()
    yield cursor
    cursor.close()
    connection.autocommit = before  # not after an error: then it is closed
