"""Somebody reads in a long transaction: no concurrent build comes to its end."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg


@contextmanager
def old_snapshot(url: str) -> Iterator[psycopg.Connection]:
    """For the block no concurrent build comes to its end."""
    with psycopg.connect(url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.execute("SELECT FROM pg_class")
        yield connection
