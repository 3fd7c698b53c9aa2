"""Tells a direct connection from one through a pooler.

A pooler in transaction mode gives an advisory lock to two clients at once and leaks SET to strangers. It
announces a process id of its own when a client connects, and the server's differs.
"""

from typing import Any

from sqlalchemy import Connection, text


def is_behind_pooler(connection: Connection) -> bool:
    """Whether another process answers than the one that was announced at the connection."""
    announced = announced_pid(connection.connection.driver_connection)
    answering = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    return announced is not None and announced != answering


def prepare_nothing(connection: Connection) -> None:
    """Keep psycopg from preparing statements: behind a pooler the next transaction may be another session's."""
    driver: Any = connection.connection.driver_connection
    if hasattr(driver, "prepare_threshold"):
        driver.prepare_threshold = None


def announced_pid(driver_connection: Any) -> int | None:
    """Give the process id in the protocol's BackendKeyData; None if the driver does not tell."""
    if hasattr(driver_connection, "get_server_pid"):  # asyncpg
        return int(driver_connection.get_server_pid())
    if hasattr(driver_connection, "info"):  # psycopg, psycopg2
        return int(driver_connection.info.backend_pid)
    return None
