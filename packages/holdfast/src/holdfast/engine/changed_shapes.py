"""Makes pooled connections forget prepared statements when a migration has changed a table: it notifies, they listen.

A statement that was prepared before and returns another row now is refused (0A000), wherever in its transaction it
stands. What is told arrives with the next answer of the server, so it costs no round trip; it is there before the
first statement of the next transaction. Not behind a pooler, nor on a standby, where nobody can listen: there only
what is the first statement of a transaction is healed (`cached_plans`). See the manual, "NOTIFY".
"""

import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import psycopg
from psycopg.pq.abc import PGconn
from psycopg.pq.misc import PGnotify
from sqlalchemy import Engine, event

CHANNEL = "holdfast_shape"
LISTEN = f"LISTEN {CHANNEL}"

Told = Callable[[PGnotify], object]


def listen_for_changed_shapes(engine: Engine) -> None:
    """Listen on every connection of the engine, sync or async, once it is opened. Only with psycopg 3."""

    @event.listens_for(engine, "connect")
    def listen(connection: Any, record: Any) -> None:
        driver = getattr(connection, "driver_connection", connection)
        if not isinstance(driver, psycopg.BaseConnection):
            return
        before, connection.autocommit = driver.autocommit, True
        try:
            cursor = connection.cursor()
            cursor.execute(LISTEN)
            cursor.close()
        except psycopg.Error:  # a standby, or a server that only looks like PostgreSQL
            return
        finally:
            if not driver.closed:
                connection.autocommit = before
        others = driver.pgconn.notify_handler
        driver.pgconn.notify_handler = partial(_told, weakref.ref(driver), others)


def is_listening(driver: Any) -> bool:
    """Whether the connection was made to listen."""
    handler = driver.pgconn.notify_handler
    return isinstance(handler, partial) and handler.func is _told


def take_in(pgconn: PGconn) -> None:
    """Hand over the notifications that have already arrived; asks the server nothing."""
    while (notify := pgconn.notifies()) is not None:
        if pgconn.notify_handler is not None:
            pgconn.notify_handler(notify)


def _told(connection: "weakref.ref[Any]", others: Told | None, notify: PGnotify) -> None:
    if notify.relname != CHANNEL.encode():
        if others is not None:
            others(notify)
    elif (driver := connection()) is not None:
        driver._prepared.clear()  # noqa: SLF001  # it deallocates with the next statement
