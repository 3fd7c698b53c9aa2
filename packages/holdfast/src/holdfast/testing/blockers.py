"""Lets tests make two connections meet: one holds a lock, and the test knows when another waits for it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import psycopg

# How many sessions of the database wait for a lock.
WAITING = """
    SELECT count(DISTINCT pid) FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE NOT granted AND datname = current_database()
"""


@contextmanager
def holding(url: str, statement: str) -> Iterator[psycopg.Connection]:
    """Run a statement, such as LOCK TABLE, in a transaction that stays open for the block."""
    with psycopg.connect(url) as connection:
        connection.execute(statement)
        yield connection
        with suppress(psycopg.OperationalError):  # a test may have ended it from outside
            connection.rollback()


def wait_until_waiting(
    url: str, *, sessions: int = 1, patience: timedelta = timedelta(seconds=10)
) -> None:
    """Return when that many sessions of the database wait for a lock."""
    limit = time.monotonic() + patience.total_seconds()
    with psycopg.connect(url, autocommit=True) as connection:
        while True:
            [waiting] = connection.execute(WAITING).fetchone() or [0]
            if waiting >= sessions:
                return
            if time.monotonic() > limit:
                raise TimeoutError(
                    f"waited {patience} for {sessions} sessions that wait for a lock, and found {waiting}"
                )
            time.sleep(0.005)
