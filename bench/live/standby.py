"""A standby that takes half of the reads, and a report of 20 s on it every 30 s.

It streams from the server of the bench, with hot_standby_feedback: so a lock that is replayed waits there for the
report, for up to 30 s, and every short read of the table behind it.
"""

import secrets
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from environments import BENCH, CACHE

from holdfast.scratch.guardian import guarded
from holdfast.scratch.server import TEMPORARY, EmbeddedServer
from live.database import SETTINGS, Database
from live.traffic import Request

sys.path.insert(0, str(BENCH.parent / "packages" / "holdfast" / "tests" / "kit"))

from standby import Pair, StandbyServer

FOLLOWED = {"wal_keep_size": "2GB"}  # of the server that it follows, however long a report is
EVERY, LASTS = 30, 20  # s
REPORT = "SELECT count(*), (SELECT pg_sleep(%s)) FROM orders"


@contextmanager
def standby_of(server: EmbeddedServer) -> Iterator[Pair]:
    """Copied from the server as it is, and following it for the block."""
    folder = (CACHE / "server").resolve() / f"holdfast-{secrets.token_hex(8)}"
    settings = {**TEMPORARY, **SETTINGS, "hot_standby_feedback": "on", "shared_buffers": "256MB"}
    with (
        guarded(folder),
        StandbyServer(folder, primary=server.url(), settings=settings) as standby,
    ):
        yield Pair(primary=server, standby=standby)


class Reports(threading.Thread):
    """Reports one after the other, from the moment that it is started; each is a request with its outcome."""

    def __init__(self, standby: Database) -> None:
        super().__init__(daemon=True)
        self._standby, self._ended = standby, threading.Event()
        self.done: list[Request] = []

    def run(self) -> None:
        """Until `stop`; what is cancelled counts as failed."""
        while not self._ended.is_set():
            due = time.time()
            latency = None
            try:
                with psycopg.connect(self._standby.url, application_name="report") as connection:
                    connection.execute(REPORT, [LASTS])
                latency = time.time() - due
            except psycopg.Error as error:
                if self._ended.is_set():
                    return
                print(f"report on the standby: {error}", file=sys.stderr)
            self.done.append(Request(due=due, latency=latency))
            self._ended.wait(max(0.0, due + EVERY - time.time()))

    def stop(self) -> None:
        """End the one that is under way, without counting it."""
        self._ended.set()
        with psycopg.connect(self._standby.url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'report'"
            )
        self.join(30)
