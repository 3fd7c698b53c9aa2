"""What the server sees of a client: its backends, counted by application_name."""

import time
from collections.abc import Callable
from datetime import timedelta

import psycopg

PATIENCE = timedelta(seconds=10)
# The backends of one application in this database, but not the one that asks.
BACKENDS = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = %s AND pid <> pg_backend_pid()
"""


def backends(url: str, application_name: str) -> set[int]:
    """Process ids."""
    with psycopg.connect(url) as connection:
        return {pid for (pid,) in connection.execute(BACKENDS, (application_name,))}


def wait_for_backends(url: str, application_name: str, number: int) -> None:
    """Returns when there are so many: a closed connection takes the server a moment to notice."""
    wait_until(
        lambda: len(backends(url, application_name)) == number,
        what=f"{number} backends of {application_name}",
    )


def wait_until(is_so: Callable[[], bool], *, what: str) -> None:
    """Asks again and again, soon at first, within a limit: most who ask open a connection each time."""
    limit = time.monotonic() + PATIENCE.total_seconds()
    pause = 0.005
    while not is_so():
        if time.monotonic() > limit:
            raise TimeoutError(f"waited {PATIENCE} for {what}")
        time.sleep(pause)
        pause = min(2 * pause, 0.02)


def terminate(url: str, pid: int) -> None:
    """What an administrator does to a backend; returns when it is gone."""
    with psycopg.connect(url) as connection:
        connection.execute("SELECT pg_terminate_backend(%s, 10000)", (pid,))
